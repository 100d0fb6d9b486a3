// The projector: vision features → language embeddings (LLaVA §4.1; two layers since LLaVA-1.5, arXiv 2310.03744 §3.2).
// Shapes: B pictures, P patches, E vision width, M picture tokens, L language width.
import { reshape, transpose } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";
import type { Shape } from "../graph/tensor.ts";
import { activations } from "../nn/activation.ts";
import { adaptedLinear, type LowRank } from "../nn/linear.ts";
import type { LlavaConfig } from "./config.ts";
import type { Weights } from "./llama.ts";

type ProjectorParts = Pick<LlavaConfig, "vision" | "language" | "projector" | "features">;

/** Width of a feature before the projector: hidden states side by side, r² patches in one. */
export function featureWidth({
  vision,
  projector,
  features,
}: Pick<LlavaConfig, "vision" | "projector" | "features">): number {
  return vision.hiddenSize * [features.layer].flat().length * projector.pixelShuffle ** 2;
}

/** Weights by Hugging Face's names below `multi_modal_projector.`; a linear projector has `linear_1` alone. */
export function projectorShapes(config: ProjectorParts): Map<string, Shape> {
  const { language, projector } = config;
  const input = featureWidth(config);
  const width = language.hiddenSize;
  const shapes = new Map<string, Shape>([["linear_1.weight", [width, input]]]);
  if (projector.bias) shapes.set("linear_1.bias", [width]);
  if (projector.kind === "linear") return shapes;
  shapes.set("linear_2.weight", [width, width]);
  if (projector.bias) shapes.set("linear_2.bias", [width]);
  return shapes;
}

/**
 * r×r neighbouring patches side by side in one token (as nanoVLM and SmolVLM do, arXiv 2504.05299): [B, P, E] → [B, P/r², r²·E].
 * Within a token the patches follow in reading order.
 */
export function pixelShuffle(x_BPE: Value, r: number): Value {
  if (r === 1) return x_BPE;
  const [b, p, e] = x_BPE.shape as [number, number, number];
  const side = Math.sqrt(p);
  const blocks = reshape(x_BPE, [b, side / r, r, side / r, r * e]);
  return reshape(transpose(blocks, [0, 1, 3, 2, 4]), [b, p / r ** 2, r ** 2 * e]);
}

/** Features that were shuffled already, [rows, r²·E] → [rows, L]. */
export function project(
  x: Value,
  w: Weights,
  { projector }: Pick<LlavaConfig, "projector">,
  lowRank?: (name: string) => LowRank | undefined,
): Value {
  const apply = (name: string, input: Value): Value =>
    adaptedLinear(input, w(`${name}.weight`), projector.bias ? w(`${name}.bias`) : undefined, lowRank?.(name));
  const first = apply("linear_1", x);
  if (projector.kind === "linear") return first;
  return apply("linear_2", activations[projector.activation](first));
}
