// The loss of samples that are not trained on: the mean over all their trained tokens.
import type { EncodedSample } from "../data/encode.ts";
import type { LanguageConfig } from "../models/config.ts";
import { microBatches, type RowLayout } from "./batches.ts";
import type { Stepper } from "./step.ts";

export interface HeldOutOptions {
  readonly samples: readonly EncodedSample[];
  readonly layout: RowLayout;
  readonly language: LanguageConfig;
  readonly signal?: AbortSignal;
  /** told of samples */
  readonly onProgress: (done: number, total: number) => void;
}

/** Samples that are packed together: more pad less, but all their rows are in memory at once. */
const packedTogether = 64;

/** Rejects with the signal's reason. */
export async function heldOutLoss(
  stepper: Pick<Stepper, "evaluate">,
  { samples, layout, language, signal, onProgress }: HeldOutOptions,
): Promise<number> {
  let [sum, tokens] = [0, 0];
  for (let start = 0; start < samples.length; start += packedTogether) {
    const group = samples.slice(start, start + packedTogether);
    for (const batch of microBatches(group, layout, language)) {
      signal?.throwIfAborted();
      sum += (await stepper.evaluate([batch])) * batch.targetIds.length;
      tokens += batch.targetIds.length;
    }
    onProgress(start + group.length, samples.length);
  }
  return sum / tokens;
}
