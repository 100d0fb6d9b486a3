// Values and nodes: a graph is what its outputs reach; names exist only at its border.
import { BugError } from "../errors.ts";
import type { OpAttributes, OpName } from "./ops.ts";
import type { DType, Shape, Tensor, ValueType } from "./tensor.ts";

/** One tensor in a graph; identity is the object itself. */
export interface Value extends ValueType {
  readonly node: Node;
}

/** An input from outside, a constant in the file, or one application of an op (every op has one output). */
export type Node =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "constant"; readonly tensor: Tensor }
  | OpNode;

export interface OpNode<O extends OpName = OpName> {
  readonly kind: "op";
  readonly op: O;
  readonly inputs: readonly Value[];
  readonly attributes: OpAttributes[O];
}

export interface NamedType extends ValueType {
  readonly name: string;
}

/** A finished graph: `values` are in topological order. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly NamedType[];
  readonly outputs: readonly (NamedType & { readonly value: Value })[];
  readonly values: readonly Value[];
  /**
   * output → input that may share its memory. Sound only where the op that writes the output comes after every op that
   * reads the input, or is one of them and works element by element (or as the C of a Gemm).
   */
  readonly inPlace?: Readonly<Record<string, string>>;
}

/** A named input; `shape` is static. */
export function input(name: string, dtype: DType, shape: Shape): Value {
  return { dtype, shape, node: { kind: "input", name } };
}

/** A constant held inside the model file. */
export function constant(tensor: Tensor): Value {
  return { dtype: tensor.dtype, shape: tensor.shape, node: { kind: "constant", tensor } };
}

/** The values that a value is computed from. */
export function operandsOf(value: Value): readonly Value[] {
  return value.node.kind === "op" ? value.node.inputs : [];
}

/**
 * Everything `outputs` depend on, operands before users.
 * Iterative, so that deep graphs do not overflow the stack.
 */
export function topological(outputs: Iterable<Value>): Value[] {
  const order: Value[] = [];
  const state = new Map<Value, "open" | "done">();
  for (const output of outputs) {
    const stack = [output];
    while (stack.length > 0) {
      const value = stack.at(-1)!;
      const seen = state.get(value);
      if (seen === undefined) {
        state.set(value, "open");
        for (const operand of operandsOf(value)) if (!state.has(operand)) stack.push(operand);
      } else {
        stack.pop();
        if (seen === "open") {
          state.set(value, "done");
          order.push(value);
        }
      }
    }
  }
  return order;
}

/**
 * A graph from named outputs; its inputs are the input nodes they reach, in the order they are met.
 * Names beginning with "__" are the encoder's own. Throws `GRAPH_INPUT_TWICE` when two different inputs share a name,
 * `GRAPH_NAME` when an output takes the name of an input, or either one of the encoder's.
 */
export function graph(name: string, outputs: Readonly<Record<string, Value>>): Graph {
  const values = topological(Object.values(outputs));
  const inputs = new Map<string, NamedType>();
  for (const { node, dtype, shape } of values) {
    if (node.kind !== "input") continue;
    if (inputs.has(node.name)) {
      throw new BugError("GRAPH_INPUT_TWICE", {
        expected: "one input node per name",
        got: `two named ${node.name}`,
        where: name,
      });
    }
    inputs.set(node.name, { name: node.name, dtype, shape });
  }
  checkNames(name, [...inputs.keys()], Object.keys(outputs));
  return {
    name,
    inputs: [...inputs.values()],
    outputs: Object.entries(outputs).map(([key, value]) => ({
      name: key,
      dtype: value.dtype,
      shape: value.shape,
      value,
    })),
    values,
  };
}

function checkNames(where: string, inputs: readonly string[], outputs: readonly string[]): void {
  const taken = inputs.find((name) => outputs.includes(name));
  if (taken !== undefined) {
    // an input that is an output is never written where a caller lets ONNX Runtime write in place
    throw new BugError("GRAPH_NAME", { expected: "outputs with names of their own", got: `the input ${taken}`, where });
  }
  for (const name of [...inputs, ...outputs]) {
    if (name.startsWith("__")) {
      throw new BugError("GRAPH_NAME", { expected: 'names that do not begin with "__"', got: name, where });
    }
  }
}

/**
 * The part of a graph that computes `outputs` when the values in `cuts` are given as inputs of those names.
 * Recomputation falls out of it: what is not cut is computed again from what is.
 */
export function extract(
  name: string,
  outputs: Readonly<Record<string, Value>>,
  cuts: ReadonlyMap<Value, string>,
): Graph {
  const copies = new Map<Value, Value>();
  for (const [value, key] of cuts) copies.set(value, input(key, value.dtype, value.shape));
  for (const value of topological(Object.values(outputs))) {
    if (copies.has(value)) continue;
    const { node } = value;
    const copied = node.kind === "op" && node.inputs.some((operand) => copies.get(operand) !== operand);
    copies.set(
      value,
      copied ? { ...value, node: { ...node, inputs: node.inputs.map((operand) => copies.get(operand)!) } } : value,
    );
  }
  return graph(name, Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, copies.get(value)!])));
}
