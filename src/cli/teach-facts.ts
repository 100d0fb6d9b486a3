// The built-in teacher behind `llava teach`, and the captions of the align stage.
import type { Sample } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import { teachCaptions } from "../teacher/facts/captions.ts";
import { defaultMixture } from "../teacher/facts/kinds.ts";
import type { PresenceBalance } from "../teacher/facts/plan.ts";
import type { Mixture } from "../teacher/facts/survey.ts";
import { teachFacts, type AnswerForm } from "../teacher/facts/teach.ts";
import { interruptible } from "./interrupt.ts";
import { startProgress } from "./progress.ts";
import { parseMixture, type Pictures } from "./teaching.ts";

export interface FactsFlags {
  readonly out: string;
  /** the folder of the pictures */
  readonly images?: string;
  readonly kinds?: string;
  readonly seed: number;
  readonly turns: number;
  readonly captions: "one" | "all";
  readonly balance: PresenceBalance;
  readonly smallest: number;
  readonly answers: AnswerForm;
}

/** Writes conversations made from captions and boxes by code. */
export async function teachByCode(
  pictures: Pictures,
  { out, kinds, images, ...options }: FactsFlags,
): Promise<{ samples: number; kinds: readonly { name: string }[] }> {
  const mixture: { mixture?: Mixture } = kinds === undefined ? {} : { mixture: parseMixture(kinds) };
  const { seed, turns, balance, smallest, answers } = options;
  const samples = teachFacts(pictures, { ...mixture, seed, turns, balance, smallest, answers });
  const asked = Object.entries({ ...defaultMixture, ...mixture.mixture }).filter(([, amount]) => amount > 0);
  const written = await writeCounted(out, pictures.count, samples, images);
  return { samples: written, kinds: asked.map(([name]) => ({ name })) };
}

/** Writes caption samples without questions, as LLaVA's first stage reads them. */
export function writeAlignment(
  pictures: Pictures,
  file: string,
  { captions, seed, images }: FactsFlags,
): Promise<number> {
  return writeCounted(file, pictures.count, teachCaptions(pictures, { captions, wording: "plain", seed }), images);
}

/** Writes samples with a progress line that counts pictures; the file appears whole or not at all. */
async function writeCounted(
  file: string,
  total: number,
  samples: AsyncIterable<Sample>,
  images: string | undefined,
): Promise<number> {
  const progress = startProgress({ label: "teach", unit: "pictures", total });
  let [count, seen, last] = [0, 0, ""];
  await interruptible((signal) => {
    const counted = async function* (): AsyncGenerator<Sample> {
      for await (const sample of samples) {
        signal.throwIfAborted();
        // samples of one picture follow each other
        const [image = ""] = sample.images;
        if (image !== last) [last, seen] = [image, seen + 1];
        count++;
        progress.update(seen);
        yield sample;
      }
    };
    return writeSamples(file, counted(), images);
  });
  progress.finish();
  return count;
}
