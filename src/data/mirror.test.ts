import { expect, it } from "vitest";
import { mirroredTurns } from "./mirror.ts";
import type { Sample } from "./sample.ts";

const sample = (question: string, answer: string, extra: Sample["extra"] = {}): Sample => ({
  id: "1",
  images: ["a.jpg"],
  conversations: [
    { from: "human", value: `<image>\n${question}` },
    { from: "gpt", value: answer },
  ],
  extra,
  where: "",
});
const facts = (...kinds: string[]): Sample["extra"] => ({ teacher: "facts", kinds });
const flipped = (of: Sample): string | undefined =>
  mirroredTurns(of)
    ?.map(({ value }) => value)
    .join(" ");

it("swaps left and right in the built-in teacher's own questions", () => {
  const own = sample("Is the dog to the left or to the right of the cat? One word.", "Left", facts("left-right"));
  expect(flipped(own)).toBe("<image>\nIs the dog to the right or to the left of the cat? One word. Right");
  const twice = { ...own, conversations: mirroredTurns(own)! };
  expect(mirroredTurns(twice)).toEqual(own.conversations);
});

it("leaves words alone that are true of both pictures, whoever wrote them", () => {
  const foreign = sample("What is this?", "A dog with a bright red ball.");
  expect(mirroredTurns(foreign)).toBe(foreign.conversations);
});

it("swaps sides in captions that are passed on, and gives up where left or right may mean something else", () => {
  const caption = (text: string): string | undefined => flipped(sample("Describe it.", text, facts("description")));
  expect(caption("A cup on the left, and a man on the far right side.")).toContain(
    "A cup on the right, and a man on the far left side.",
  );
  expect(caption("The lamp is on the left side of the photo.")).toContain("on the right side of the photo");
  expect(caption("Her left hand holds a cup.")).toContain("Her right hand");
  for (const text of ["A man left his bike.", "A cat right next to a dog, on the left.", "Turn LEFT."]) {
    expect(caption(text)).toBeUndefined();
  }
});

it.each([
  ["words of others that name a side", sample("Where is it?", "On the left.")],
  ["another teacher's", sample("Where is it?", "On the left.", { teacher: "endpoint" })],
  ["what is written in the picture", sample("What does it show?", 'A sign that says "stop".')],
  ["writing in the teacher's captions", sample("Describe it.", "A sign reads stop.", facts("caption"))],
  ["a sample without a picture", { ...sample("Hi", "Hello"), images: [] }],
])("has no mirror image for %s", (_, of) => {
  expect(mirroredTurns(of)).toBeUndefined();
});
