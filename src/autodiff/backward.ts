// The backward walk: reverse topological order, one rule per op, gradients of a value added up.
import { BugError } from "../errors.ts";
import { add, reshape, sum } from "../graph/build.ts";
import { operandsOf, topological, type OpNode, type Value } from "../graph/graph.ts";
import { sameShape, type Shape, showShape } from "../graph/tensor.ts";
import { type Rule, rules } from "./rules.ts";

/**
 * Gradients of Σᵢ ⟨seedᵢ, outputᵢ⟩ with respect to `wrt` (reverse mode).
 * @param seeds the gradient of each output, of that output's dtype and shape (`GRAPH_SEED`)
 * @returns a value of each target's shape, or undefined where no path leads from the outputs to the target
 */
export function gradients(seeds: ReadonlyMap<Value, Value>, wrt: readonly Value[]): (Value | undefined)[] {
  const order = topological(seeds.keys());
  const needed = dependentsOf(order, wrt);
  const totals = new Map<Value, Value>();
  for (const [output, seed] of seeds) {
    checkSeed(output, seed);
    accumulate(totals, output, seed);
  }
  for (const value of order.toReversed()) {
    const g = totals.get(value);
    if (g === undefined || value.node.kind !== "op" || !operandsOf(value).some((x) => needed.has(x))) continue;
    const parts = applyRule(value, value.node, g);
    value.node.inputs.forEach((operand, i) => {
      const part = parts[i];
      if (part && needed.has(operand)) accumulate(totals, operand, unbroadcast(part, operand.shape));
    });
  }
  return wrt.map((target) => totals.get(target));
}

function checkSeed(output: Value, seed: Value): void {
  if (seed.dtype === output.dtype && sameShape(seed.shape, output.shape)) return;
  const show = ({ dtype, shape }: Value): string => `${dtype} ${showShape(shape)}`;
  throw new BugError("GRAPH_SEED", { expected: `a seed ${show(output)}`, got: show(seed) });
}

function applyRule(output: Value, node: OpNode, g: Value): readonly (Value | null)[] {
  // the table pairs each op with a rule for its attributes; TypeScript can't follow that through the union
  const rule = rules[node.op] as Rule<typeof node.op> | "none";
  return rule === "none" ? [] : rule({ inputs: node.inputs, attributes: node.attributes, output } as never, g);
}

/** The values of `order` that depend on a target, targets included. */
function dependentsOf(order: readonly Value[], wrt: readonly Value[]): Set<Value> {
  const needed = new Set(wrt);
  for (const value of order) if (operandsOf(value).some((x) => needed.has(x))) needed.add(value);
  return needed;
}

function accumulate(totals: Map<Value, Value>, value: Value, part: Value): void {
  const before = totals.get(value);
  totals.set(value, before === undefined ? part : add(before, part));
}

/** Sums a gradient over the axes that broadcasting added or stretched. */
function unbroadcast(g: Value, shape: Shape): Value {
  if (sameShape(g.shape, shape)) return g;
  const extra = g.shape.length - shape.length;
  const axes = [...g.shape.keys()].filter((i) => i < extra || (shape[i - extra] === 1 && g.shape[i] !== 1));
  return reshape(sum(g, axes), shape);
}
