// The buffers of a tower that learns: every layer's input and saved values, for the most pictures of a micro-batch so far.
// Shapes: P pictures, S positions, E hidden, F intermediate.
import { type Shape, sizeOf } from "../graph/tensor.ts";
import { type LlavaConfig, tokensPerPicture, type VisionConfig } from "../models/config.ts";
import { featureWidth } from "../models/projector.ts";
import { chosenStates, layersNeeded } from "../models/vision.ts";
import { type Engine, type EngineBuffer, view } from "../runtime/engine.ts";
import { towerPositions, type towerSavedNames } from "./tower.ts";

type Floats = EngineBuffer<"float32">;
type TowerSavedName = (typeof towerSavedNames)[number];

/** Views of the pictures from `start` on. */
export interface TowerSpace {
  readonly pixels: Floats;
  /** x[0] the embeddings, x[L] the last needed layer's output */
  readonly x: readonly Floats[];
  readonly saved: readonly Readonly<Record<TowerSavedName, Floats>>[];
  /** gradients of layer inputs and outputs, used in turn */
  readonly dx: readonly [Floats, Floats];
  /** gradients of the chosen hidden states, in the order of the config */
  readonly dstates: readonly Floats[];
  readonly dfeatures: Floats;
}

export interface TowerRoom {
  /** Makes room for so many pictures; what earlier micro-batches left is lost when it grows. */
  reserve(pictures: number): void;
  /** the buffers of pictures `start` … `start + pictures - 1` */
  part(start: number, pictures: number): TowerSpace;
  release(): void;
}

export function towerRoom(engine: Engine, config: LlavaConfig): TowerRoom {
  const c = config.vision;
  let room = 0;
  let whole: TowerSpace | undefined;
  const free = (): void => {
    if (whole) for (const buffer of buffersOf(whole)) engine.free(buffer);
    whole = undefined;
  };
  return {
    reserve: (pictures) => {
      if (pictures <= room) return;
      free();
      room = pictures;
      whole = spaceOf(config, (shape) => engine.allocate("float32", [pictures, ...shape]));
    },
    part: (start, pictures) => {
      const all = buffersOf(whole!);
      let next = 0;
      return spaceOf(config, (shape) => view(all[next++]!, [pictures, ...shape], start * sizeOf(shape)));
    },
    release: free,
  };

  function spaceOf({ features }: LlavaConfig, make: (shape: Shape) => Floats): TowerSpace {
    const layers = layersNeeded(c, features);
    const shapes = shapesOf(c);
    return {
      pixels: make([3, c.imageSize, c.imageSize]),
      x: Array.from({ length: layers + 1 }, () => make(shapes.state)),
      saved: Array.from(
        { length: layers },
        () =>
          Object.fromEntries(Object.entries(shapes.saved).map(([name, shape]) => [name, make(shape)])) as Record<
            TowerSavedName,
            Floats
          >,
      ),
      dx: [make(shapes.state), make(shapes.state)],
      dstates: chosenStates(c, features).map(() => make(shapes.state)),
      dfeatures: make([tokensPerPicture(config), featureWidth(config)]),
    };
  }
}

/** In the order in which they are made. */
function buffersOf({ pixels, x, saved, dx, dstates, dfeatures }: TowerSpace): Floats[] {
  return [pixels, ...x, ...saved.flatMap((layer) => Object.values(layer)), ...dx, ...dstates, dfeatures];
}

function shapesOf(c: VisionConfig): { readonly state: Shape; readonly saved: Readonly<Record<TowerSavedName, Shape>> } {
  const positions = towerPositions(c);
  const state: Shape = [positions, c.hiddenSize];
  const heads: Shape = [c.heads, positions, c.hiddenSize / c.heads];
  const saved = {
    q: heads,
    k: heads,
    v: heads,
    attended: state,
    residual: state,
    inner: [positions, c.intermediateSize],
  };
  return { state, saved };
}
