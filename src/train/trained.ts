// What a run has made so far: whole weights of the parts, and the adapter that was trained on top of them last.
import { type AdaptedPart, type Adapter, loraShapes, mergedWeights } from "../models/lora.ts";
import { roundedToBlocks } from "../models/quantise.ts";
import { overlaid, type PartWeights } from "../models/weights.ts";
import { adapterOf } from "./adapted-part.ts";
import { finishedWeights } from "./checkpoint.ts";
import type { StoredCheckpoint } from "./checkpoint-files.ts";
import type { Part, StageRecipe } from "./recipe.ts";

export interface Trained {
  readonly vision: PartWeights;
  readonly projector: PartWeights;
  readonly language: PartWeights;
  readonly adapter?: Adapter;
}

/** The weights that a next stage starts from: an adapter's products are part of them. */
export function wholeWeights({ adapter, ...parts }: Trained): Trained {
  if (adapter === undefined) return parts;
  const merged = (part: AdaptedPart): PartWeights => mergedWeights(parts[part], adapter.parts[part], adapter.lora);
  return { vision: parts.vision, projector: merged("projector"), language: merged("language") };
}

/**
 * What there is after a stage, by its last checkpoint. A new adapter stands on all that was trained before it; on a
 * 4-bit base it belongs to the values that the blocks stand for.
 */
export async function afterStage(before: Trained, stage: StageRecipe, finished: StoredCheckpoint): Promise<Trained> {
  const { adapter, ...kept } = touchesAdapter(before, stage) ? wholeWeights(before) : before;
  const weights: { -readonly [P in Part]: PartWeights } = { ...kept };
  const adapters: Partial<Record<AdaptedPart, PartWeights>> = {};
  for (const part of stage.train) {
    const lora = adapterOf(part, stage);
    if (part === "vision" || lora === undefined) {
      weights[part] = overlaid(kept[part], await finishedWeights(finished, part, kept[part].shapes));
    } else adapters[part] = (await finishedWeights(finished, part, loraShapes(kept[part].shapes, lora)))!;
  }
  if (stage.quantize !== undefined && adapters.language) weights.language = roundedToBlocks(kept.language);
  const made = stage.lora && Object.keys(adapters).length > 0 ? { lora: stage.lora, parts: adapters } : adapter;
  return made === undefined ? weights : { ...weights, adapter: made };
}

/** Whether a stage trains a new adapter, or weights that the present one adds to. */
const touchesAdapter = ({ adapter }: Trained, { lora, train }: StageRecipe): boolean =>
  adapter !== undefined &&
  (lora !== undefined || train.some((part) => part !== "vision" && adapter.parts[part] !== undefined));
