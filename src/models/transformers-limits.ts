// What transformers' own llava class can't say of the models that are made here.
import type { LlavaConfig } from "./config.ts";

/** What it would take, and what the model has instead; undefined for models that it loads. */
export function beyondTransformers(
  config: LlavaConfig,
): { readonly expected: string; readonly got: string } | undefined {
  const { vision, projector, tiles } = config;
  if (vision.family === "vit") {
    return { expected: "a CLIP or SigLIP tower, as transformers' llava has no place for a ViT's names", got: "a ViT" };
  }
  if (projector.pixelShuffle > 1) {
    const expected = "a projector that takes single patches, as transformers' llava has no pixel shuffle";
    return { expected, got: `pixel shuffle ${projector.pixelShuffle}` };
  }
  if (projector.kind === "linear") {
    return { expected: "two layers in the projector, as transformers' llava always has", got: "one" };
  }
  if (tiles === undefined) return undefined;
  return { expected: "pictures that are seen whole, as transformers' llava has no tiles", got: `up to ${tiles} tiles` };
}
