// The built-in teacher behind `llava teach`, and the captions of the align stage.
import type { CaptionedPicture, Sample } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import { teachCaptions } from "../teacher/facts/captions.ts";
import type { PresenceBalance } from "../teacher/facts/plan.ts";
import { teachFacts } from "../teacher/facts/teach.ts";
import { interruptible } from "./interrupt.ts";
import { startProgress } from "./progress.ts";
import { parseMixture } from "./teaching.ts";

export interface FactsFlags {
  readonly out: string;
  readonly kinds?: string;
  readonly seed: number;
  readonly turns: number;
  readonly captions: "one" | "all";
  readonly balance: PresenceBalance;
  readonly smallest: number;
}

/** Writes conversations made from captions and boxes by code. */
export async function teachByCode(
  pictures: readonly CaptionedPicture[],
  { out, kinds, ...options }: FactsFlags,
): Promise<{ samples: number }> {
  const mixture = kinds === undefined ? {} : { mixture: parseMixture(kinds) };
  const { seed, turns, balance, smallest } = options;
  const samples = teachFacts(pictures, { ...mixture, seed, turns, balance, smallest });
  return { samples: await writeCounted(out, pictures.length, samples) };
}

/** Writes caption samples without questions, as LLaVA's first stage reads them. */
export function writeAlignment(
  pictures: readonly CaptionedPicture[],
  file: string,
  { captions, seed }: FactsFlags,
): Promise<number> {
  return writeCounted(file, pictures.length, teachCaptions(pictures, { captions, wording: "plain", seed }));
}

/** Writes samples with a progress line that counts pictures; the file appears whole or not at all. */
async function writeCounted(file: string, total: number, samples: AsyncIterable<Sample>): Promise<number> {
  const progress = startProgress({ label: "teach", unit: "pictures", total });
  const seen = new Set<string>();
  let count = 0;
  await interruptible((signal) => {
    const counted = async function* (): AsyncGenerator<Sample> {
      for await (const sample of samples) {
        signal.throwIfAborted();
        seen.add(sample.images[0] ?? "");
        count++;
        progress.update(seen.size);
        yield sample;
      }
    };
    return writeSamples(file, counted());
  });
  progress.finish();
  return count;
}
