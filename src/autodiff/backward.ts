// The backward walk: reverse topological order, one rule per op, gradients of a value added up.
import { BugError } from "../errors.ts";
import { add, concat, isOp, reshape, sum } from "../graph/build.ts";
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
  const parts = new Map<Value, Value[]>();
  const addPart = (value: Value, part: Value): void => void parts.set(value, [...(parts.get(value) ?? []), part]);
  for (const [output, seed] of seeds) {
    checkSeed(output, seed);
    addPart(output, seed);
  }
  const totals = new Map<Value, Value>();
  for (const value of order.toReversed()) {
    // every user of a value stands behind it, so its parts are complete
    const g = total(parts.get(value) ?? []);
    if (g === undefined) continue;
    totals.set(value, g);
    if (value.node.kind !== "op" || !operandsOf(value).some((x) => needed.has(x))) continue;
    const flows = applyRule(value, value.node, g);
    value.node.inputs.forEach((operand, i) => {
      const flow = flows[i];
      if (flow && needed.has(operand)) addPart(operand, unbroadcast(flow, operand.shape));
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

/** The sum of a gradient's parts; slices that make up the whole are laid side by side instead of padded and added. */
function total(parts: readonly Value[]): Value | undefined {
  const padded = parts.filter((part) => isOp(part, "Pad"));
  const whole = sideBySide(padded);
  const summands = whole === undefined ? parts : [whole, ...parts.filter((part) => !isOp(part, "Pad"))];
  return summands.length === 0 ? undefined : summands.reduce((sum, part) => add(sum, part));
}

/** One concatenation in place of pads that fill one axis without a gap or an overlap; else undefined. */
function sideBySide(pads: readonly (Value & { readonly node: OpNode<"Pad"> })[]): Value | undefined {
  const axis = pads[0]?.node.attributes.axis ?? 0;
  const sorted = pads.toSorted((a, b) => a.node.attributes.before - b.node.attributes.before);
  let end = 0;
  for (const { node } of sorted) {
    if (node.attributes.axis !== axis || node.attributes.before !== end) return undefined;
    end += node.inputs[0]!.shape[axis]!;
  }
  const tiles = sorted.map(({ node }) => node.inputs[0]!);
  return pads.length > 1 && end === pads[0]!.shape[axis] ? concat(tiles, axis) : undefined;
}

/** Sums a gradient over the axes that broadcasting added or stretched. */
function unbroadcast(g: Value, shape: Shape): Value {
  if (sameShape(g.shape, shape)) return g;
  const extra = g.shape.length - shape.length;
  const axes = [...g.shape.keys()].filter((i) => i < extra || (shape[i - extra] === 1 && g.shape[i] !== 1));
  return reshape(sum(g, axes), shape);
}
