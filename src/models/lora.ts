// Low-rank adapters (LoRA, arXiv 2106.09685): which linear layers have one, and how they become part of the weights.
import type { Shape } from "../graph/tensor.ts";
import type { PartWeights } from "./weights.ts";

/** The linear layers that can have an adapter, by PEFT's names (a module's last name). */
export const loraTargets = {
  projector: ["linear_1", "linear_2"],
  language: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
} as const;
export type AdaptedPart = keyof typeof loraTargets;
export type LoraTarget = (typeof loraTargets)[AdaptedPart][number];

/** The parts that an adapter of these targets adds to. */
export const loraParts = ({ targets }: Pick<Lora, "targets">): AdaptedPart[] =>
  (["projector", "language"] as const).filter((part) => loraTargets[part].some((name) => targets.includes(name)));

/** What an adapter is: y = x·Wᵀ + alpha/rank · (x·Aᵀ)·Bᵀ for every linear layer named in `targets`. */
export interface Lora {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly LoraTarget[];
}

/** An adapter with its weights: `MODULE.lora_A.weight` [rank, in] and `MODULE.lora_B.weight` [out, rank] of each part. */
export interface Adapter {
  readonly lora: Lora;
  readonly parts: Readonly<Partial<Record<AdaptedPart, PartWeights>>>;
}

export const loraScale = ({ rank, alpha }: Pick<Lora, "rank" | "alpha">): number => alpha / rank;

/** The names of the factors A and B that belong to a weight: `q_proj.weight` → `q_proj.lora_A.weight`, `q_proj.lora_B.weight`. */
export function factorNames(weight: string): { readonly a: string; readonly b: string } {
  const module = weight.replace(/\.weight$/, "");
  return { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` };
}

/** Whether an adapter adds to a weight. */
export const isTarget = (weight: string, { targets }: Pick<Lora, "targets">): boolean =>
  targets.some((target) => weight.endsWith(`${target}.weight`));

/** Names and shapes of the factors that an adapter adds to weights of these shapes. */
export function loraShapes(shapes: Iterable<readonly [string, Shape]>, lora: Lora): Map<string, Shape> {
  const factors = new Map<string, Shape>();
  for (const [name, [out, inner]] of shapes) {
    if (!isTarget(name, lora)) continue;
    const { a, b } = factorNames(name);
    factors.set(a, [lora.rank, inner!]);
    factors.set(b, [out!, lora.rank]);
  }
  return factors;
}

/** The weights with the adapter's products added: W + alpha/rank · B·A. */
export function mergedWeights(base: PartWeights, factors: PartWeights | undefined, lora: Lora): PartWeights {
  if (factors === undefined) return base;
  return {
    shapes: base.shapes,
    load: async (name) => {
      const weight = await base.load(name);
      const { a, b } = factorNames(name);
      if (!factors.shapes.has(a)) return weight;
      const columns = base.shapes.get(name)![1]!;
      addProduct(weight, columns, await factors.load(b), await factors.load(a), loraScale(lora));
      return weight;
    },
  };
}

/** w [out, in] += scale · b [out, rank] · a [rank, in]; four ranks at a time, since w is what costs to pass over. */
function addProduct(w: Float32Array, inner: number, b: Float32Array, a: Float32Array, scale: number): void {
  const rank = a.length / inner;
  for (let row = 0, o = 0; o < w.length; row++, o += inner) {
    for (let r = 0; r < rank; r += 4) {
      const factor = (i: number): number => (r + i < rank ? scale * b[row * rank + r + i]! : 0);
      const [b0, b1, b2, b3] = [factor(0), factor(1), factor(2), factor(3)];
      const at = (i: number): number => Math.min(r + i, rank - 1) * inner;
      const [a0, a1, a2, a3] = [at(0), at(1), at(2), at(3)];
      for (let i = 0; i < inner; i++) {
        w[o + i]! += b0 * a[a0 + i]! + b1 * a[a1 + i]! + b2 * a[a2 + i]! + b3 * a[a3 + i]!;
      }
    }
  }
}
