// A micro-batch backward: through the layers to the embedding rows and the projector.
import { embeddingName, layerPrefix } from "../models/llama.ts";
import type { EngineBuffer, Pass, Program } from "../runtime/engine.ts";
import type { MicroBatch } from "./micro-batch.ts";
import {
  copyPictures,
  layerWeights,
  needed,
  projectorWeights,
  rowInputs,
  shapeOf,
  type StepContext,
} from "./step-context.ts";
import { backwardTower } from "./tower-pass.ts";
import type { Workspace } from "./workspace.ts";

export async function backwardLayers(
  context: StepContext,
  pass: Pass,
  batch: MicroBatch,
  space: Workspace,
): Promise<void> {
  const { parts, programs, layerNames } = context;
  const trained = parts.language.trained;
  const graphs = programs.layer(shapeOf(batch));
  const again = context.summed.has("layers");
  const program = await (trained === undefined ? graphs.through() : again ? graphs.accumulate() : graphs.backward());
  for (let layer = space.saved.length - 1; layer >= 0; layer--) {
    const depth = space.saved.length - 1 - layer;
    const [dy, dx] = depth % 2 === 0 ? space.dx : [space.dx[1], space.dx[0]];
    const outputs: Record<string, EngineBuffer> = { dx };
    const sums: Record<string, EngineBuffer> = {};
    for (const name of layerNames) {
      if (!trained?.shapes.has(layerPrefix(layer) + name)) continue;
      const { gradient } = trained.state(layerPrefix(layer) + name);
      outputs[`grad.${name}`] = gradient;
      if (again) sums[`sum.${name}`] = gradient;
    }
    const inputs = {
      dy,
      x: space.x[layer]!,
      ...space.saved[layer]!,
      ...rowInputs(space),
      ...layerWeights(context, pass, layer),
      ...sums,
    };
    pass.run(program, needed(program.inputs, inputs), outputs);
  }
  if (trained) context.summed.add("layers");
}

/** Gradients of embedding rows, and of what made the picture rows. */
export async function backwardEmbedding(
  context: StepContext,
  pass: Pass,
  batch: MicroBatch,
  space: Workspace,
): Promise<void> {
  const { config, parts } = context;
  const dx0 = space.dx[space.saved.length % 2]!;
  if (parts.language.trained?.shapes.has(embeddingName)) {
    const table = parts.language.trained.state(embeddingName).gradient;
    if (!config.language.tied && !context.summed.has("embedding"))
      pass.call({ kernel: "fill", buffer: table, value: 0 });
    pass.call({ kernel: "scatterAddRows", table, ids: space.ids, from: dx0 });
    context.summed.add("embedding");
  }
  if (batch.pictures.length === 0 || !(parts.projector.trained || parts.vision?.trained)) return;
  await backwardPictures(context, pass, batch, dx0);
}

/** Through the picture rows to the projector, and to the tower where it learns. */
async function backwardPictures(
  context: StepContext,
  pass: Pass,
  batch: MicroBatch,
  dx0: EngineBuffer<"float32">,
): Promise<void> {
  const { config, parts, tower } = context;
  const pictures = context.pictures(batch.pictures.length);
  copyPictures(pass, batch, config.language.hiddenSize, (place, offset, width) => ({
    from: dx0,
    into: pictures.dprojected,
    fromOffset: place.start * width,
    intoOffset: offset,
  }));
  const program = await projectorProgram(context, pictures.features.shape[0]!);
  const again = context.summed.has("projector");
  const outputs: Record<string, EngineBuffer> = {};
  const sums: Record<string, EngineBuffer> = {};
  for (const name of parts.projector.trained?.shapes.keys() ?? []) {
    const { gradient } = parts.projector.trained!.state(name);
    outputs[`grad.${name}`] = gradient;
    if (again) sums[`sum.${name}`] = gradient;
  }
  if (tower) outputs["dfeatures"] = tower.part(0, batch.pictures.length).dfeatures;
  const inputs = {
    features: pictures.features,
    dprojected: pictures.dprojected,
    ...projectorWeights(context),
    ...sums,
  };
  pass.run(program, needed(program.inputs, inputs), outputs);
  if (parts.projector.trained) context.summed.add("projector");
  if (tower) await backwardTower(context, pass, batch.pictures.length);
}

function projectorProgram({ parts, programs, summed }: StepContext, rows: number): Promise<Program> {
  const graphs = programs.projector(rows);
  const again = summed.has("projector");
  if (parts.vision === undefined) return again ? graphs.accumulate() : graphs.backward();
  if (!parts.projector.trained) return graphs.through();
  return again ? graphs.accumulateThrough() : graphs.backwardThrough();
}
