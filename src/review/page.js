// The review page: shows one sample after the other, and tells the server what was decided of each.
import { fields, make, readOnly, written } from "./editor.js";

const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=token]").content;
let current;
let editing = false;
/** places decided here, the last one at the end: what Z takes back */
const decidedHere = [];

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

/** The nearest sample from a place on that the filters let through; says so where there is none. */
async function go(from, step) {
  const query = new URLSearchParams({ from, step });
  if (byId("kind").value !== "*") query.set("kind", byId("kind").value);
  if (byId("filter").value !== "") query.set("decision", byId("filter").value);
  const found = await call(`/find?${query}`);
  if (found !== null) render(found);
  else say(step > 0 ? "That was the last one that is shown here." : "This is the first one that is shown here.");
  return found !== null;
}

function render(state) {
  const isOther = current?.place !== state.place;
  current = state;
  const { place, count, sample, decision, decided } = state;
  const done = decided.accepted + decided.edited + decided.rejected;
  byId("place").textContent = `${place + 1} of ${count}`;
  byId("decision").textContent = decision ?? "";
  byId("decision").className = decision ?? "";
  byId("about").textContent = [sample.kind, sample.id].filter(Boolean).join(" · ");
  byId("counts").textContent =
    `${decided.accepted} accepted · ${decided.edited} edited · ${decided.rejected} rejected · ${count - done} left`;
  Object.assign(byId("progress"), { max: count, value: done });
  if (isOther) showPictures(state);
  history.replaceState(undefined, "", `#${place + 1}`);
  showTurns(false);
}

function showPictures({ place, sample }) {
  const images = [sample.image ?? []].flat();
  const pictures = images.map((name, i) => {
    const picture = make("img", { src: `/picture/${place}/${i}`, alt: name });
    picture.addEventListener("error", () =>
      picture.replaceWith(make("p", { className: "quiet" }, `${name} is not in the pictures' folder (--images)`)),
    );
    return picture;
  });
  if (pictures.length === 0) pictures.push(make("p", { className: "quiet" }, "No picture: words alone."));
  byId("pictures").replaceChildren(...pictures);
}

function showTurns(asFields) {
  editing = asFields;
  const turns = current.sample.conversations;
  byId("turns").replaceChildren(...(editing ? fields(turns) : readOnly(turns)));
  say("");
  showKeys();
  if (editing) byId("turn-1")?.focus();
}

async function decide(decision, conversations) {
  const { place } = current;
  const state = await call(`/sample/${place}`, { decision, conversations });
  decidedHere.push(place);
  render(state);
  await go(place + 1, 1);
}

async function undo() {
  const place = decidedHere.pop() ?? current.place;
  render(await call(`/undo/${place}`, {}));
}

async function undecided() {
  byId("filter").value = byId("filter").value === "undecided" ? "" : "undecided";
  await go(current.place, 1);
}

async function end() {
  const { accepted, edited, rejected } = await call("/done", {});
  const told = `${accepted} accepted, ${edited} edited, ${rejected} rejected. This page can be closed.`;
  document.body.replaceChildren(make("div", { className: "end" }, make("h1", {}, "Written back"), make("p", {}, told)));
}

const reading = [
  ["a", "accept", () => decide("accepted")],
  ["e", "edit", () => showTurns(true)],
  ["r", "reject", () => decide("rejected")],
  ["z", "take back", undo],
  ["ArrowLeft", "back", () => go(current.place - 1, -1)],
  ["ArrowRight", "on", () => go(current.place + 1, 1)],
  ["u", "undecided only, or all", undecided],
  ["w", "write back and end", end],
];
const writing = [
  ["Ctrl+Enter", "keep the changes", () => decide("edited", written(byId("turns")))],
  ["Escape", "drop them", () => showTurns(false)],
];
const signs = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

function showKeys() {
  const buttons = (editing ? writing : reading).map(([key, label, act]) => {
    const button = make("button", { type: "button" }, make("kbd", {}, signs[key] ?? key), label);
    button.setAttribute("aria-keyshortcuts", key.replace("Ctrl", "Control"));
    button.addEventListener("click", () => run(act));
    return button;
  });
  byId("keys").replaceChildren(...buttons);
}

function say(words) {
  byId("error").textContent = words;
}

let last = Promise.resolve();
/** One thing after the other, as keys were pressed. */
function run(act) {
  last = last.then(act).catch((error) => say(error.message));
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.target instanceof HTMLSelectElement) return;
  const control = event.ctrlKey || event.metaKey;
  const name = `${control ? "Ctrl+" : ""}${event.key}`;
  const [, , act] = (editing ? writing : reading).find(([key]) => key === name) ?? [];
  if (act === undefined || (event.repeat && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  run(act);
});
for (const filter of [byId("kind"), byId("filter")])
  filter.addEventListener("change", () =>
    run(async () => {
      filter.blur();
      if (!(await go(current.place, 1))) await go(current.place, -1);
    }),
  );

const kinds = await call("/kinds");
byId("kind").append(
  new Option("all", "*"),
  ...kinds.map(([kind, count]) => new Option(`${kind || "without one"} (${count})`, kind)),
);
render(await call(`/sample/${Math.max(0, Number(location.hash.slice(1)) - 1 || 0)}`));
