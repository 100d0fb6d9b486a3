// What is learned of real samples, for people to look at.
import { spansOf } from "../../data/preview.ts";
import type { Assembly } from "../assemble.ts";
import { documentsOf } from "../batches.ts";
import type { StageData } from "../stage-data.ts";
import type { MaskPreview } from "./data.ts";

const shownMasks = 2;

/** The first samples of a stage as training sees them; where samples share pictures, those of its first step. */
export function maskPreviews(
  { tokenizer, config }: Pick<Assembly, "tokenizer" | "config">,
  { stage, samples, layout, plan }: Pick<StageData, "stage" | "samples" | "layout" | "plan">,
): MaskPreview[] {
  const first = Array.from(plan.samplesOf(1), (i) => samples[i]!);
  const documents = layout.share === undefined ? samples : documentsOf(first, layout);
  return documents.slice(0, shownMasks).map((document) => ({
    id: document.id,
    stage: stage.name,
    pieces: spansOf(document, { tokenizer, imageTokenId: config.imageTokenId }),
  }));
}
