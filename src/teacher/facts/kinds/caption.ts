// A short description: one of the picture's captions.
import type { Caption } from "../caption.ts";
import type { FactKind } from "../kind.ts";

export const caption: FactKind<Caption> = {
  alone: true,
  find: ({ scene }) => scene.captions,
  word: ({ text }, _context, random) => ({ question: random.pick(captionRequests), answer: text, reveals: [] }),
};

/** Requests for one sentence about a picture. */
export const captionRequests = [
  "Describe the picture in one sentence.",
  "Describe this image briefly.",
  "What does this picture show?",
  "What is shown in this image?",
  "What is happening in the picture?",
  "Give a short description of this photo.",
  "Say in one sentence what you see.",
  "Write a caption for this picture.",
  "Sum up this image in a single sentence.",
  "What is this a picture of?",
  "Tell me shortly what is in the photo.",
  "In a few words, what is going on here?",
] as const;
