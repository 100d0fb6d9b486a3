// Blind questions: each picture gives its place to another, so that only what the words tell is left.
import { random } from "../data/random.ts";
import { InputError } from "../errors.ts";
import type { Question } from "./task.ts";

/** The same questions with other pictures: one picture stands for another throughout, none for itself; a function of `seed`. */
export function blinded(questions: readonly Question[], seed: number): Question[] {
  const pictures = [...new Set(questions.flatMap(({ images }) => images))].sort();
  if (pictures.length < 2) {
    throw new InputError("BLIND_PICTURES", {
      expected: "questions about at least two pictures",
      got: pictures.length === 0 ? "none" : "one",
      fix: "ask without --blind",
    });
  }
  // a shuffled circle, in which each picture is followed by another
  const circle = random(seed, "blind").shuffle(pictures);
  const other = new Map(circle.map((picture, i) => [picture, circle[(i + 1) % circle.length]!]));
  return questions.map((question) => ({ ...question, images: question.images.map((image) => other.get(image)!) }));
}
