// The weights of a program as inputs, with the factors of an adapter beside them.
import { input, type Value } from "../graph/graph.ts";
import type { Shape } from "../graph/tensor.ts";
import type { LowRank } from "../nn/linear.ts";
import { factorNames, type Lora, loraScale, loraShapes } from "./lora.ts";

export interface WeightInputs {
  readonly weight: (name: string) => Value;
  /** the adapter of a linear layer, by the layer's name: `self_attn.q_proj` */
  readonly lowRank: (module: string) => LowRank | undefined;
  readonly weights: ReadonlyMap<string, Value>;
  /** empty without an adapter */
  readonly factors: ReadonlyMap<string, Value>;
}

/** Inputs named as the weights are; factors as PEFT names them below their layer. */
export function weightInputs(shapes: ReadonlyMap<string, Shape>, lora?: Lora): WeightInputs {
  const inputs = (of: Iterable<readonly [string, Shape]>): Map<string, Value> =>
    new Map([...of].map(([name, shape]) => [name, input(name, "float32", shape)]));
  const weights = inputs(shapes);
  const factors = inputs(lora === undefined ? [] : loraShapes(shapes, lora));
  return {
    weight: (name) => weights.get(name)!,
    lowRank: (module) => {
      const names = factorNames(`${module}.weight`);
      const [a, b] = [factors.get(names.a), factors.get(names.b)];
      return a && b && lora ? { a, b, scale: loraScale(lora) } : undefined;
    },
    weights,
    factors,
  };
}

/** The names of those inputs. */
export function weightNames(shapes: ReadonlyMap<string, Shape>, lora?: Lora): string[] {
  return [...shapes.keys(), ...(lora === undefined ? [] : loraShapes(shapes, lora).keys())];
}
