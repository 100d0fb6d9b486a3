// A tower that learns: the pictures of a micro-batch forward to their features, and back from the features' gradients.
import { chosenStates } from "../models/vision.ts";
import { type EngineBuffer, type Pass, view } from "../runtime/engine.ts";
import { needed, type StepContext } from "./step-context.ts";
import { towerWeightNames } from "./tower.ts";
import type { TowerSpace } from "./tower-space.ts";
import type { PictureSpace } from "./workspace.ts";

type Buffers = Record<string, EngineBuffer>;

/** Programs exist for so many pictures at once; larger numbers are cut, so that few sizes are compiled. */
const groupSizes = [4, 2, 1] as const;

/** `count` pictures in as few groups as there are programs for. */
function groupsOf(count: number): { readonly start: number; readonly size: number }[] {
  const groups: { start: number; size: number }[] = [];
  let start = 0;
  while (start < count) {
    const size = groupSizes.find((most) => most <= count - start)!;
    groups.push({ start, size });
    start += size;
  }
  return groups;
}

/** The pictures' pixels through the tower as it stands, into `into.features`; keeps what the way back needs. */
export async function forwardTower(
  context: StepContext,
  pass: Pass,
  pixels: Float32Array,
  count: number,
  into: PictureSpace,
): Promise<void> {
  const { config, programs } = context;
  const tower = context.tower!;
  tower.reserve(count);
  const chosen = chosenStates(config.vision, config.features);
  const picture = pixels.length / count;
  for (const { start, size } of groupsOf(count)) {
    const graphs = programs.tower(size);
    const space = tower.part(start, size);
    const layer = await graphs.layer();
    pass
      .write(space.pixels, pixels.slice(start * picture, (start + size) * picture))
      .run(await graphs.embed(), { pixels: space.pixels, ...embeddingWeights(context) }, { x: space.x[0]! });
    space.saved.forEach((saved, n) => {
      pass.run(layer, { x: space.x[n]!, ...layerWeights(context, n) }, { ...saved, y: space.x[n + 1]! });
    });
    const states = Object.fromEntries(chosen.map((at, i) => [`state.${i}`, space.x[at]!]));
    pass.run(await graphs.select(), states, { features: partOf(into.features, count, start, size) });
  }
}

/** From `dfeatures` [pictures · tokens, W] back to every weight of the tower; gradients of this step are summed. */
export async function backwardTower(context: StepContext, pass: Pass, count: number): Promise<void> {
  for (const { start, size } of groupsOf(count)) {
    await backwardGroup(context, pass, size, context.tower!.part(start, size));
    context.summed.add("vision");
  }
}

async function backwardGroup(context: StepContext, pass: Pass, size: number, space: TowerSpace): Promise<void> {
  const { config, programs } = context;
  const graphs = programs.tower(size);
  const again = context.summed.has("vision");
  const layer = await (again ? graphs.layerAccumulate() : graphs.layerBackward());
  const embed = await (again ? graphs.embedAccumulate() : graphs.embedBackward());
  const chosen = chosenStates(config.vision, config.features);
  const named = Object.fromEntries(space.dstates.map((buffer, i) => [`dstate.${i}`, buffer]));
  pass.run(await graphs.selectBackward(), { dfeatures: space.dfeatures }, named);
  let [dy, dx] = space.dx;
  pass.call({ kernel: "fill", buffer: dy, value: 0 });
  const addChosen = (state: number): void =>
    chosen.forEach((at, i) => {
      if (at === state) pass.call({ kernel: "addInto", into: dy, from: space.dstates[i]! });
    });
  addChosen(space.saved.length);
  for (let n = space.saved.length - 1; n >= 0; n--) {
    const { sums, gradients } = sumsOf(context, towerWeightNames(config.vision).layer, `layers.${n}.`, again);
    const inputs = { dy, x: space.x[n]!, ...space.saved[n]!, ...layerWeights(context, n), ...sums };
    pass.run(layer, needed(layer.inputs, inputs), { dx, ...gradients });
    [dy, dx] = [dx, dy];
    addChosen(n);
  }
  const { sums, gradients } = sumsOf(context, towerWeightNames(config.vision).embedding, "", again);
  const inputs = { pixels: space.pixels, dx: dy, ...embeddingWeights(context), ...sums };
  pass.run(embed, needed(embed.inputs, inputs), gradients);
}

/** Where gradients of these weights go, and the same buffers as sums to add to. */
function sumsOf(
  { parts }: StepContext,
  names: readonly string[],
  prefix: string,
  again: boolean,
): { readonly sums: Buffers; readonly gradients: Buffers } {
  const buffers = names.map((name) => [name, parts.vision!.trained!.state(prefix + name).gradient] as const);
  return {
    sums: again ? Object.fromEntries(buffers.map(([name, buffer]) => [`sum.${name}`, buffer])) : {},
    gradients: Object.fromEntries(buffers.map(([name, buffer]) => [`grad.${name}`, buffer])),
  };
}

function embeddingWeights({ config, parts }: StepContext): Buffers {
  const names = towerWeightNames(config.vision).embedding;
  return Object.fromEntries(names.map((name) => [name, parts.vision!.parameter(name)]));
}

function layerWeights({ config, parts }: StepContext, n: number): Buffers {
  const names = towerWeightNames(config.vision).layer;
  return Object.fromEntries(names.map((name) => [name, parts.vision!.parameter(`layers.${n}.${name}`)]));
}

function partOf(buffer: EngineBuffer<"float32">, count: number, start: number, size: number): EngineBuffer<"float32"> {
  const rows = buffer.shape[0]! / count;
  const width = buffer.shape[1]!;
  return view(buffer, [rows * size, width], start * rows * width);
}
