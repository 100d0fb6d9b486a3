// Turns every sample into tokens and finds those that do not fit a row or teach nothing.
import { setImmediate } from "node:timers/promises";
import { InputError } from "../errors.ts";
import { encodeSample, learnedTokens, type EncodedSample, type Encoding } from "./encode.ts";
import type { Problems } from "./problems.ts";
import type { Sample } from "./sample.ts";
import { count, listed } from "./untrusted.ts";

export interface TokenRules {
  readonly encoding: Encoding;
  /** tokens of a row */
  readonly maxTokens?: number;
  readonly nothingToLearn?: "refuse" | "skip";
}

export interface TokenCheck {
  readonly samples: Sample[];
  readonly encoded: EncodedSample[];
  tokens: number;
  learnedTokens: number;
  /** tokens of the longest sample, also of one that does not fit */
  longest: number;
  skipped: number;
}

/** Encoding blocks its thread: after this many milliseconds others get their turn. */
const SLICE = 20;

/** Encodes samples; those that fail go to `problems`, the others are returned. */
export async function checkTokens(
  samples: readonly Sample[],
  rules: TokenRules,
  problems: Problems,
  onProgress?: (done: number) => void,
): Promise<TokenCheck> {
  const check: TokenCheck = { samples: [], encoded: [], tokens: 0, learnedTokens: 0, longest: 0, skipped: 0 };
  const long: EncodedSample[] = [];
  const longAt: string[] = [];
  const empty: string[] = [];
  let turn = performance.now();
  for (const [i, sample] of samples.entries()) {
    if (performance.now() - turn > SLICE) {
      onProgress?.(i);
      await setImmediate();
      turn = performance.now();
    }
    const encoded = attempt(sample, rules.encoding, problems);
    if (encoded === undefined) continue;
    check.longest = Math.max(check.longest, encoded.ids.length);
    const learned = teachesNothing(sample) ? 0 : learnedTokens(encoded);
    if (learned === 0) empty.push(sample.where);
    else if (encoded.ids.length > (rules.maxTokens ?? Infinity)) {
      long.push(encoded);
      longAt.push(sample.where);
    } else {
      check.samples.push(sample);
      check.encoded.push(encoded);
      check.tokens += encoded.ids.length;
      check.learnedTokens += learned;
    }
  }
  onProgress?.(samples.length);
  if (rules.nothingToLearn === "skip") check.skipped = empty.length;
  else if (empty.length > 0) problems.add(nothing(empty), empty.length);
  if (long.length > 0) problems.add(tooLong(long, longAt, rules.maxTokens as number), long.length);
  return check;
}

function attempt(sample: Sample, encoding: Encoding, problems: Problems): EncodedSample | undefined {
  try {
    return encodeSample(sample, encoding);
  } catch (error) {
    problems.add(error);
    return undefined;
  }
}

/** An end token alone is no lesson: a model that learns it learns to say nothing. */
function teachesNothing({ conversations }: Sample): boolean {
  return conversations.every(({ from, value }) => from === "human" || value.trim() === "");
}

function nothing(places: readonly string[]): InputError {
  return new InputError("SAMPLE_NOTHING_TO_LEARN", {
    expected: "samples with at least one answer that is not empty",
    got: `${count(places.length, "sample")} without`,
    where: listed(places),
    fix: "write answers for them or take them out",
  });
}

/** Never cut: a cut inside a picture's places breaks the sample, one inside an answer teaches to stop there. */
function tooLong(samples: readonly EncodedSample[], places: readonly string[], maxTokens: number): InputError {
  const lengths = samples.map(({ ids }) => ids.length);
  const longest = lengths.reduce((a, b) => Math.max(a, b));
  const { imageRuns } = samples[lengths.indexOf(longest)] as EncodedSample;
  const pictures = imageRuns.reduce((sum, { length }) => sum + length, 0);
  return new InputError("SAMPLE_TOO_LONG", {
    expected: `samples of at most ${maxTokens} tokens, pictures included`,
    got: `${count(samples.length, "longer sample")}, the longest ${longest} tokens, ${pictures} of them for ${count(imageRuns.length, "picture")}`,
    where: listed(places),
    fix: `use rows of ${longest} tokens, split long conversations into several samples, or make pictures take fewer tokens`,
  });
}
