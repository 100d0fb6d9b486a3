// A part's weights in the engine: parameters, and for trained parts gradients and what the optimiser keeps.
import { bytesPerElement, type Shape, sizeOf } from "../graph/tensor.ts";
import type { Lora } from "../models/lora.ts";
import type { PartWeights } from "../models/weights.ts";
import { type Engine, type EngineBuffer, type Pass, view } from "../runtime/engine.ts";
import { adamw } from "./optimisers/adamw.ts";
import type { Optimiser, StateLayout, TrainedWeight } from "./optimisers/optimiser.ts";

type Floats = EngineBuffer<"float32">;

/** What learns in a part: its weights, an adapter beside them (`lora`), or nothing. */
export type PartForm =
  | { readonly trains: "weights" | "nothing"; readonly lora?: never }
  | { readonly trains: "adapter"; readonly lora: Lora };

export interface PartParameters {
  readonly form: PartForm;
  /** an adapter's factors included */
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly parameter: (name: string) => Floats;
  /** adds what must be done before `parameter(name)` holds the weight: layers share memory where weights lie in blocks */
  readonly prepare?: (pass: Pass, name: string) => void;
  /** absent for frozen parts */
  readonly trained?: {
    readonly optimiser: Optimiser;
    /** what learns: all weights, or the adapter's alone */
    readonly shapes: ReadonlyMap<string, Shape>;
    readonly state: (name: string) => TrainedWeight;
    /** all gradients as few flat buffers, for the norm and for zeroing */
    readonly gradients: readonly Floats[];
    /** memory whose end holds the gradients that `SharedRoom` names, free for other use until they are written */
    readonly shared?: Floats;
  };
  release(): void;
}

/** Room that gradients of some weights share with something else; they take its end, in the weights' order. */
export interface SharedRoom {
  readonly elements: number;
  readonly holds: (name: string) => boolean;
}

export interface TrainOptions {
  readonly optimiser?: Optimiser;
  /** kept to where all weights fit one memory; else gradients have room of their own */
  readonly shared?: SharedRoom;
}

/** One memory holds at most 4 GiB, less its last page and what alignment takes. */
const mostBytes = 2 ** 32 - 2 ** 17;

/** Reserves memory for a part and loads its weights one by one; gradients and the optimiser's state start at zero. */
export async function loadPart(
  engine: Engine,
  name: string,
  weights: PartWeights,
  trained: boolean,
  { optimiser = adamw, shared }: TrainOptions = {},
): Promise<PartParameters> {
  const part = trained
    ? allocateTrained(engine, name, weights.shapes, { optimiser, ...(shared && { shared }) })
    : allocateFrozen(engine, weights.shapes);
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
    form: { trains: "nothing" },
    shapes,
    parameter: (key) => buffers.get(key)!,
    release: () => buffers.forEach((buffer) => engine.free(buffer)),
  };
}

function allocateTrained(
  engine: Engine,
  name: string,
  shapes: ReadonlyMap<string, Shape>,
  { optimiser, shared }: TrainOptions & { optimiser: Optimiser },
): PartParameters {
  const weights = new Map<string, TrainedWeight>();
  const gradients: GradientRoom[] = [];
  const pools: string[] = [];
  const all = groups(shapes, optimiser);
  const sharing = shared && all.length === 1 && sharedBytes(all[0]!, shared) <= mostBytes ? shared : undefined;
  for (const group of all) {
    const pool = `${name} ${pools.length}`;
    pools.push(pool);
    engine.reserve(pool, sharing ? sharedBytes(group, sharing) : group.bytes);
    const parameter = engine.allocate("float32", [group.elements], { pool });
    const gradient = gradientRoom(engine, pool, group, sharing);
    gradients.push(gradient);
    let offset = 0;
    for (const { key, shape, state } of group.weights) {
      const arrays = Object.entries(state).map(
        ([array, of]) => [array, engine.allocate(of.dtype, of.shape, { pool })] as const,
      );
      weights.set(key, {
        ...{ name: key, shape, state: Object.fromEntries(arrays) },
        ...{ parameter: view(parameter, shape, offset), gradient: gradient.of.get(key)! },
      });
      offset += padded(sizeOf(shape));
    }
  }
  return {
    form: { trains: "weights" },
    shapes,
    parameter: (key) => weights.get(key)!.parameter,
    trained: {
      optimiser,
      shapes,
      state: (key) => weights.get(key)!,
      gradients: gradients.flatMap(({ flat }) => flat),
      ...(sharing && { shared: gradients[0]!.shared! }),
    },
    release: () => pools.forEach((pool) => engine.releasePool(pool)),
  };
}

interface GradientRoom {
  readonly of: ReadonlyMap<string, Floats>;
  readonly flat: readonly Floats[];
  readonly shared?: Floats;
}

/** Gradients one behind the other; those that share their room stand at its end. */
function gradientRoom(engine: Engine, pool: string, group: Group, shared: SharedRoom | undefined): GradientRoom {
  const of = new Map<string, Floats>();
  const place = (weights: Group["weights"], room: Floats, start: number): Floats => {
    let offset = start;
    for (const { key, shape } of weights) {
      of.set(key, view(room, shape, offset));
      offset += padded(sizeOf(shape));
    }
    return view(room, [offset - start], start);
  };
  const inside = held(group, shared);
  const outside = group.weights.filter((weight) => !inside.includes(weight));
  const own = engine.allocate("float32", [elementsOf(outside)], { pool });
  const flat = [place(outside, own, 0)];
  if (shared === undefined) return { of, flat };
  const room = engine.allocate("float32", [shared.elements], { pool });
  return { of, flat: [...flat, place(inside, room, shared.elements - elementsOf(inside))], shared: room };
}

const held = ({ weights }: Group, shared: SharedRoom | undefined): Group["weights"] =>
  weights.filter(({ key }) => shared?.holds(key) ?? false);

const elementsOf = (weights: Group["weights"]): number =>
  weights.reduce((sum, { shape }) => sum + padded(sizeOf(shape)), 0);

/** A group's bytes when some of its gradients lie in shared room. */
const sharedBytes = (group: Group, shared: SharedRoom): number =>
  group.bytes + 4 * (padded(shared.elements) - elementsOf(held(group, shared)));

/** Rounded up to 64 bytes of float32, so that every weight starts aligned for vector loads. */
const padded = (n: number): number => Math.ceil(n / 16) * 16;

interface Group {
  readonly weights: { readonly key: string; readonly shape: Shape; readonly state: StateLayout }[];
  /** of the weights, padded */
  elements: number;
  /** of weights, gradients and state */
  bytes: number;
}

/** Consecutive weights that fit one memory each. */
function groups(shapes: ReadonlyMap<string, Shape>, optimiser: Optimiser): Group[] {
  const all: Group[] = [{ weights: [], elements: 0, bytes: 0 }];
  for (const [key, shape] of shapes) {
    const state = optimiser.state(key, shape);
    const elements = padded(sizeOf(shape));
    const kept = Object.values(state).map((array) => sizeOf(array.shape) * bytesPerElement[array.dtype]);
    const bytes = 8 * elements + kept.reduce((sum, each) => sum + 64 * Math.ceil(each / 64), 0);
    if (all.at(-1)!.bytes + bytes > mostBytes && all.at(-1)!.elements > 0)
      all.push({ weights: [], elements: 0, bytes: 0 });
    const group = all.at(-1)!;
    group.weights.push({ key, shape, state });
    group.elements += elements;
    group.bytes += bytes;
  }
  return all;
}
