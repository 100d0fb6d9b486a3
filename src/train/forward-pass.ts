// A micro-batch forward: embeddings, picture features through the projector, then the layers.
import { embeddingName } from "../models/llama.ts";
import type { Pass } from "../runtime/engine.ts";
import type { MicroBatch } from "./micro-batch.ts";
import { copyPictures, layerWeights, projectorWeights, rowInputs, shapeOf, type StepContext } from "./step-context.ts";
import { forwardTower } from "./tower-pass.ts";
import type { PictureSpace, Workspace } from "./workspace.ts";

/** Token rows gathered from the embedding, picture rows from the projector. */
export async function embed(context: StepContext, pass: Pass, batch: MicroBatch, space: Workspace): Promise<void> {
  const { engine: _, config, parts, programs } = context;
  const x0 = space.x[0]!;
  pass
    .write(space.ids, batch.ids)
    .write(space.documents, batch.documents)
    .write(space.branches, batch.branches)
    .write(space.positions, batch.positions)
    .write(space.cos, batch.cos)
    .write(space.sin, batch.sin)
    .call({ kernel: "fill", buffer: x0, value: 0 })
    .call({ kernel: "gatherRows", table: parts.language.parameter(embeddingName), ids: space.ids, into: x0 })
    .run(
      await programs.mask(shapeOf(batch)),
      { documents: space.documents, branches: space.branches, positions: space.positions },
      { mask: space.mask },
    );
  if (batch.pictures.length === 0) return;
  const pictures = context.pictures(batch.pictures.length);
  await lookAt(context, pass, batch, pictures);
  const { forward } = programs.projector(pictures.features.shape[0]!);
  pass.run(
    await forward(),
    { features: pictures.features, ...projectorWeights(context) },
    { projected: pictures.projected },
  );
  copyPictures(pass, batch, config.language.hiddenSize, (place, offset, width) => ({
    from: pictures.projected,
    into: x0,
    fromOffset: offset,
    intoOffset: place.start * width,
  }));
}

/** Features as they were computed once, or by the tower as it stands where it learns. */
async function lookAt(context: StepContext, pass: Pass, batch: MicroBatch, space: PictureSpace): Promise<void> {
  const given = await context.features(batch.pictures.map((place) => place.image));
  if (context.tower) await forwardTower(context, pass, given, batch.pictures.length, space);
  else pass.write(space.features, given, { transfer: true });
}

export async function forwardLayers(
  context: StepContext,
  pass: Pass,
  batch: MicroBatch,
  space: Workspace,
): Promise<void> {
  const forward = await context.programs.layer(shapeOf(batch)).forward();
  space.saved.forEach((saved, layer) => {
    const inputs = { x: space.x[layer]!, ...rowInputs(space), ...layerWeights(context, pass, layer) };
    pass.run(forward, inputs, { ...saved, y: space.x[layer + 1]! });
  });
}
