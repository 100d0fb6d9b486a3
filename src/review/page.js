// The review page: shows one sample, tells the server what was decided. All text is set as text.
const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=token]").content;
let current;
let editing = false;

async function call(path, body) {
  const method = body === undefined ? "GET" : "POST";
  const response = await fetch(path, {
    method,
    headers: { "x-review": token, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.error);
  return reply;
}

async function show(place) {
  render(await call(`/sample/${place}`));
  history.replaceState(undefined, "", `#${place + 1}`);
}

function render(state) {
  const isOther = current?.place !== state.place;
  current = state;
  editing = false;
  const { place, count, sample, decision, decided } = state;
  byId("place").textContent = `${place + 1} of ${count}`;
  byId("decision").textContent = decision ?? "";
  const done = decided.accepted + decided.edited + decided.rejected;
  byId("progress").max = count;
  byId("progress").value = done;
  byId("counts").textContent = `${decided.accepted} accepted, ${decided.edited} edited, ${decided.rejected} rejected`;
  byId("about").textContent = [sample.id, sample.kind].filter(Boolean).join(" · ");
  byId("error").textContent = "";
  if (isOther) {
    const images = [sample.image ?? []].flat();
    byId("pictures").replaceChildren(
      ...images.map((name, i) => Object.assign(new Image(), { src: `/picture/${place}/${i}`, alt: name })),
    );
  }
  byId("turns").replaceChildren(
    ...sample.conversations.map(({ from, value }) => {
      const turn = document.createElement("div");
      turn.className = from;
      turn.textContent = value;
      return turn;
    }),
  );
}

async function decide(decision, conversations) {
  render(await call(`/sample/${current.place}`, { decision, conversations }));
  if (current.place + 1 < current.count) await show(current.place + 1);
}

function edit() {
  if (editing) {
    const turns = [...byId("turns").children];
    return decide(
      "edited",
      turns.map((turn) => ({ from: turn.className, value: turn.innerText.replace(/\n$/, "") })),
    );
  }
  editing = true;
  for (const turn of byId("turns").children) turn.contentEditable = "plaintext-only";
  byId("turns").children[1]?.focus();
  byId("error").textContent = "Ctrl+Enter keeps the changes, Escape drops them";
}

async function nextUndecided() {
  for (let place = current.place + 1; place < current.count; place++) {
    const state = await call(`/sample/${place}`);
    if (state.decision === undefined) return show(place);
  }
}

async function end() {
  await call("/done", {});
  document.body.textContent = "Written back. This page can be closed.";
}

const keys = {
  a: () => decide("accepted"),
  r: () => decide("rejected"),
  e: edit,
  u: nextUndecided,
  w: end,
  ArrowRight: () => show(Math.min(current.count - 1, current.place + 1)),
  ArrowLeft: () => show(Math.max(0, current.place - 1)),
};

function press(key) {
  Promise.resolve(keys[key]?.()).catch((error) => (byId("error").textContent = error.message));
}

addEventListener("keydown", (event) => {
  if (editing) {
    if (event.key === "Escape") show(current.place);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) press("e");
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || keys[event.key] === undefined) return;
  event.preventDefault();
  press(event.key);
});
for (const button of document.querySelectorAll("button"))
  button.addEventListener("click", () => press(button.dataset.key));

await show(Math.max(0, Number(location.hash.slice(1)) - 1 || 0));
