// Sums up samples for `llava data check`: how many of what, kinds of answers, the balance of yes and no, lengths.
import type { Sample } from "./sample.ts";

/** Answers by form: "yes"/"no" by first word, else a number, a short phrase, one sentence or more. */
export type AnswerKind = "yes" | "no" | "number" | "phrase" | "sentence" | "paragraph" | "empty";

export interface Bucket {
  /** lengths from `from` to `to`, both included */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface SampleSummary {
  readonly samples: number;
  /** different pictures */
  readonly pictures: number;
  readonly textOnly: number;
  readonly turns: number;
  readonly answers: Readonly<Record<AnswerKind, number>>;
  /** yes / (yes + no); undefined when there is neither */
  readonly yesShare: number | undefined;
  /** different questions; few of them mean that a model can learn the question instead of the picture */
  readonly questions: number;
}

/** Counts over all samples. */
export function summarise(samples: Iterable<Sample>): SampleSummary {
  const answers: Record<AnswerKind, number> = {
    yes: 0,
    no: 0,
    number: 0,
    phrase: 0,
    sentence: 0,
    paragraph: 0,
    empty: 0,
  };
  const pictures = new Set<string>();
  const questions = new Set<string>();
  let [count, textOnly, turns] = [0, 0, 0];
  for (const { images, conversations } of samples) {
    count++;
    turns += conversations.length;
    if (images.length === 0) textOnly++;
    for (const image of images) pictures.add(image);
    for (const { from, value } of conversations) {
      if (from === "gpt") answers[answerKind(value)]++;
      else questions.add(value.replaceAll("<image>", "").trim());
    }
  }
  const decided = answers.yes + answers.no;
  const yesShare = decided === 0 ? undefined : answers.yes / decided;
  return { samples: count, pictures: pictures.size, textOnly, turns, answers, yesShare, questions: questions.size };
}

const NUMBER_WORDS = /^(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|none)$/;

/** The form of an answer. */
export function answerKind(answer: string): AnswerKind {
  const text = answer.trim().toLowerCase();
  if (text === "") return "empty";
  const first = /^[\p{L}\p{N}'-]+/u.exec(text)?.[0] ?? "";
  if (first === "yes" || first === "no") return first;
  const bare = text.replace(/[.!]$/, "");
  if (/^\d+([.,]\d+)?$/.test(bare) || NUMBER_WORDS.test(bare)) return "number";
  const sentences = text.split(/[.!?]+(?:\s|$)/).filter((part) => part !== "").length;
  if (sentences > 1) return "paragraph";
  return bare.split(/\s+/).length <= 4 ? "phrase" : "sentence";
}

/** Counts lengths in ranges that double: 1–16, 17–32, 33–64 …; from the first to the last that is not empty. */
export function lengthHistogram(lengths: Iterable<number>, first = 16): Bucket[] {
  const counts: number[] = [];
  for (const length of lengths) {
    const bucket = Math.max(0, Math.ceil(Math.log2(length / first)));
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  const all = Array.from(counts, (count, i) => {
    return { from: i === 0 ? 0 : first * 2 ** (i - 1) + 1, to: first * 2 ** i, count: count ?? 0 };
  });
  return all.slice(
    Math.max(
      0,
      all.findIndex(({ count }) => count > 0),
    ),
  );
}
