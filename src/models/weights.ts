// A part's weights by our names: checked against the shapes its config asks for, loaded one at a time as float32.
import { InputError } from "../errors.ts";
import type { Blocks } from "../formats/q4.ts";
import { sameShape, type Shape, showShape } from "../graph/tensor.ts";

/** Weights of the vision tower, the projector or the language model. */
export interface PartWeights {
  /** every weight with its shape, in the order they are written */
  readonly shapes: ReadonlyMap<string, Shape>;
  /** row-major float32 values of one weight, in memory of its own */
  load(name: string): Promise<Float32Array>;
  /** the 4-bit blocks that a weight is stored in, if it is */
  readonly blocks?: (name: string) => Promise<Blocks | undefined>;
}

/** Tensors of one or several files, by the files' names. */
export interface TensorReader {
  /** the file or folder, for errors */
  readonly where: string;
  readonly shapes: ReadonlyMap<string, Shape>;
  load(name: string): Promise<Float32Array>;
  readonly blocks?: (name: string) => Promise<Blocks | undefined>;
  close(): Promise<void>;
}

/** Where each of our weights lies: the file's name, and a change of its rows if the file orders them otherwise. */
export interface Placement {
  readonly fileName: (name: string) => string;
  readonly reorder?: <A extends Float32Array | Uint16Array | Uint8Array>(name: string, data: A) => A;
  /** tensors of this part's files that we do not need (heads, position ids) */
  readonly ignored?: RegExp;
  /** only file names with this prefix belong to the part */
  readonly prefix?: string;
}

/**
 * Matches a part's weights with the tensors of a reader.
 * Throws `WEIGHTS_MISMATCH` naming the first missing, extra and misshapen tensors.
 */
export function partWeights(
  reader: TensorReader,
  wanted: ReadonlyMap<string, Shape>,
  placement: Placement,
): PartWeights {
  const { fileName, reorder, ignored, prefix = "" } = placement;
  const files = new Map([...wanted.keys()].map((name) => [name, fileName(name)]));
  const used = new Set(files.values());
  const missing = [...used].filter((name) => !reader.shapes.has(name));
  const extra = [...reader.shapes.keys()].filter(
    (name) => name.startsWith(prefix) && !used.has(name) && ignored?.test(name.slice(prefix.length)) !== true,
  );
  const misshapen = [...wanted].flatMap(([name, shape]) => {
    const found = reader.shapes.get(files.get(name)!);
    return found === undefined || fits(found, shape)
      ? []
      : [`${files.get(name)!} is ${showShape(found)}, not ${showShape(shape)}`];
  });
  if (missing.length + extra.length + misshapen.length > 0) {
    const parts = [list("missing", missing), list("unexpected", extra), list("misshapen", misshapen)].filter(
      (text) => text !== "",
    );
    throw new InputError("WEIGHTS_MISMATCH", {
      expected: `the ${wanted.size} tensors that config.json describes`,
      got: parts.join("; "),
      where: reader.where,
      fix: "check that config.json and the weights belong together",
    });
  }
  return {
    shapes: wanted,
    load: async (name) => {
      const data = await reader.load(files.get(name)!);
      return reorder === undefined ? data : reorder(name, data);
    },
    blocks: async (name) => {
      const stored = await reader.blocks?.(files.get(name)!);
      if (stored === undefined || reorder === undefined) return stored;
      const { codes, scales, minima } = stored;
      return {
        codes: reorder(name, codes),
        scales: reorder(name, scales),
        ...(minima && { minima: reorder(name, minima) }),
      };
    },
  };
}

/** Leading axes of length 1 do not matter: ViT keeps its class token as [1, 1, E]. */
function fits(found: Shape, wanted: Shape): boolean {
  const extra = found.length - wanted.length;
  return extra >= 0 && found.slice(0, extra).every((n) => n === 1) && sameShape(found.slice(extra), wanted);
}

function list(kind: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const shown = names.slice(0, 3).join(", ");
  return `${kind} ${shown}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}

/** A part's weights of these names alone. */
export function someWeights({ shapes, load }: PartWeights, names: readonly string[]): PartWeights {
  return { shapes: new Map(names.map((name) => [name, shapes.get(name)!])), load };
}

/** A part's weights with those of other values in their place. */
export function overlaid(weights: PartWeights, others: PartWeights | undefined): PartWeights {
  if (others === undefined) return weights;
  const of = (name: string): PartWeights => (others.shapes.has(name) ? others : weights);
  return { ...weights, load: (name) => of(name).load(name), blocks: async (name) => of(name).blocks?.(name) };
}

/** Weights that lie in memory. */
export function memoryWeights(
  tensors: ReadonlyMap<string, { readonly shape: Shape; readonly data: Float32Array }>,
): PartWeights {
  return {
    shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])),
    load: (name) => Promise.resolve(tensors.get(name)!.data.slice()),
  };
}
