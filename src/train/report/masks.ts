// What is learned of real samples, for people to look at.
import { showMask } from "../../text/show-mask.ts";
import type { Assembly } from "../assemble.ts";
import type { StageData } from "../stage-data.ts";
import type { MaskPreview } from "./data.ts";

const shownMasks = 2;

/** The first samples of a stage as training sees them. */
export function maskPreviews(
  { tokenizer, config }: Pick<Assembly, "tokenizer" | "config">,
  { stage, samples }: Pick<StageData, "stage" | "samples">,
): MaskPreview[] {
  return samples.slice(0, shownMasks).map(({ id, ids, labels }) => ({
    id,
    stage: stage.name,
    pieces: showMask(tokenizer, ids, labels, config.imageTokenId),
  }));
}
