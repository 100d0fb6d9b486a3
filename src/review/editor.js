// A conversation on the page: read, or with a field for each turn. All text is set as text.
const speakers = { human: "question", gpt: "answer" };

/** An element with its properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** The turns to be read; the picture's place among the words is marked. */
export function readOnly(turns) {
  return turns.map(({ from, value }) => {
    const words = value.split(/(<image>\n?)/).map((part) => {
      return part.startsWith("<image>") ? make("span", { className: "mark" }, "‹picture›\n") : part;
    });
    return make("div", { className: `turn ${from}` }, make("span", {}, speakers[from]), make("p", {}, ...words));
  });
}

/** The turns as fields; `read` on the last element gives what stands in them. */
export function fields(turns) {
  return turns.map(({ from, value }, i) => {
    const field = make("textarea", { id: `turn-${i}`, value, spellcheck: true });
    field.dataset.from = from;
    // where the browser does not fit the field to its text
    field.rows = Math.min(12, value.split("\n").length + Math.floor(value.length / 70));
    const label = make("label", { htmlFor: field.id }, `${speakers[from]} ${Math.floor(i / 2) + 1}`);
    return make("div", { className: `turn ${from}` }, label, field);
  });
}

/** What stands in the fields below an element. */
export function written(parent) {
  return [...parent.querySelectorAll("textarea")].map((field) => ({ from: field.dataset.from, value: field.value }));
}
