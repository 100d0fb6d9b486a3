// The interface of a kind of question: what can be asked truthfully of a scene, and how it is worded.
import type { Random } from "../../data/random.ts";
import type { PresencePlan } from "./plan.ts";
import type { Scene } from "./scene.ts";

/** One question with its answer. */
export interface Ask {
  readonly question: string;
  readonly answer: string;
  /** names that question and answer give away as present: whoever is asked for them must be asked before */
  readonly reveals: readonly string[];
  /** the name whose presence is in question */
  readonly seeks?: string;
}

/** What a kind may draw on: one scene, and the presence questions planned for it over the whole source. */
export interface FactContext {
  readonly scene: Scene;
  readonly presence: PresencePlan;
}

/**
 * One kind of question. `find` lists everything that could be asked truthfully; how many are asked, and which, is
 * decided outside (`survey.ts`, `teach.ts`), so that a kind holds only its geometry and its wording.
 */
export interface FactKind<Candidate> {
  /** long answers give away much of the picture, so they get a sample of their own */
  readonly alone: boolean;
  find(context: FactContext): readonly Candidate[];
  /** one wording; draws freely from the stream */
  word(candidate: Candidate, context: FactContext, random: Random): Ask;
  /** the fixed short-answer wording for evaluation, where the kind can be scored by exact match; always trained too */
  exam?(candidate: Candidate, random: Random): Ask;
  /** no answer more often than `share` of all (0–1), so that a constant answer earns little */
  readonly balance?: { readonly share: number; answer(candidate: Candidate): string };
}

/** A question text followed by how to answer it, on the same line or the next. */
export function withHint(question: string, hints: readonly string[], random: Random): string {
  return `${question}${random.chance(0.3) ? "\n" : " "}${random.pick(hints)}`;
}

/** Ways to ask for a bare answer; the first is LLaVA-1.5's suffix, which its benchmarks append (arXiv 2310.03744, §3.2). */
export const oneWordHints = [
  "Answer the question using a single word or phrase.",
  "Answer with one word.",
  "One word, please.",
  "Keep the answer to one word.",
] as const;

/** "the picture", "this photo", …: what questions call the picture. */
export const pictureWords = [
  "the picture",
  "the image",
  "this picture",
  "this image",
  "the photo",
  "this photo",
] as const;
