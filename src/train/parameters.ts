// A part's weights in the engine: parameters, and for trained parts gradients and AdamW's two moments.
import type { Shape } from "../graph/tensor.ts";
import { sizeOf } from "../graph/tensor.ts";
import type { PartWeights } from "../models/weights.ts";
import { type Engine, type EngineBuffer, view } from "../runtime/engine.ts";

type Floats = EngineBuffer<"float32">;

/** What AdamW keeps of one weight. */
export interface Trained {
  readonly gradient: Floats;
  readonly m: Floats;
  readonly v: Floats;
}

export interface PartParameters {
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly parameter: (name: string) => Floats;
  /** absent for frozen parts */
  readonly trained?: {
    readonly state: (name: string) => Trained;
    /** all gradients as few flat buffers, for the norm and for zeroing */
    readonly gradients: readonly Floats[];
  };
  release(): void;
}

/** One memory holds at most 4 GiB: parameter, gradient, m and v of this many elements. */
const mostElements = Math.floor((2 ** 32 - 2 ** 17) / 16);

/** Reserves memory for a part and loads its weights one by one; moments and gradients start at zero. */
export async function loadPart(
  engine: Engine,
  name: string,
  weights: PartWeights,
  trained: boolean,
): Promise<PartParameters> {
  const part = trained ? allocateTrained(engine, name, weights.shapes) : allocateFrozen(engine, weights.shapes);
  for (const key of weights.shapes.keys()) {
    await engine
      .pass()
      .write(part.parameter(key), (await weights.load(key)) as Float32Array<ArrayBuffer>)
      .submit();
  }
  return part;
}

function allocateFrozen(engine: Engine, shapes: ReadonlyMap<string, Shape>): PartParameters {
  const buffers = new Map([...shapes].map(([key, shape]) => [key, engine.allocate("float32", shape)]));
  return {
    shapes,
    parameter: (key) => buffers.get(key)!,
    release: () => buffers.forEach((buffer) => engine.free(buffer)),
  };
}

function allocateTrained(engine: Engine, name: string, shapes: ReadonlyMap<string, Shape>): PartParameters {
  const parameters = new Map<string, Floats>();
  const states = new Map<string, Trained>();
  const gradients: Floats[] = [];
  const pools: string[] = [];
  for (const group of groups(shapes)) {
    const size = group.reduce((sum, [, shape]) => sum + padded(sizeOf(shape)), 0);
    const pool = `${name} ${pools.length}`;
    pools.push(pool);
    engine.reserve(pool, 16 * size + 4096);
    const flat = (): Floats => engine.allocate("float32", [size], { pool });
    const [parameter, gradient, m, v] = [flat(), flat(), flat(), flat()];
    gradients.push(gradient);
    let offset = 0;
    for (const [key, shape] of group) {
      parameters.set(key, view(parameter, shape, offset));
      states.set(key, {
        gradient: view(gradient, shape, offset),
        m: view(m, shape, offset),
        v: view(v, shape, offset),
      });
      offset += padded(sizeOf(shape));
    }
  }
  return {
    shapes,
    parameter: (key) => parameters.get(key)!,
    trained: { state: (key) => states.get(key)!, gradients },
    release: () => pools.forEach((pool) => engine.releasePool(pool)),
  };
}

/** Rounded up to 64 bytes, so that every weight starts aligned for vector loads. */
const padded = (n: number): number => Math.ceil(n / 16) * 16;

/** Consecutive weights that fit one memory each. */
function groups(shapes: ReadonlyMap<string, Shape>): (readonly [string, Shape])[][] {
  const all: (readonly [string, Shape])[][] = [[]];
  let used = 0;
  for (const entry of shapes) {
    const size = padded(sizeOf(entry[1]));
    if (used + size > mostElements && used > 0) {
      all.push([]);
      used = 0;
    }
    all.at(-1)!.push(entry);
    used += size;
  }
  return all;
}
