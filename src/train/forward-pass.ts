// A micro-batch forward: embeddings, picture features through the projector, then the layers.
import { embeddingName } from "../models/llama.ts";
import type { Pass } from "../runtime/engine.ts";
import type { MicroBatch } from "./micro-batch.ts";
import { copyPictures, layerWeights, projectorWeights, rowInputs, shapeOf, type StepContext } from "./step-context.ts";
import type { Workspace } from "./workspace.ts";

/** Token rows gathered from the embedding, picture rows from the projector. */
export async function embed(context: StepContext, pass: Pass, batch: MicroBatch, space: Workspace): Promise<void> {
  const { engine: _, config, parts, programs } = context;
  const x0 = space.x[0]!;
  pass
    .write(space.ids, batch.ids)
    .write(space.documents, batch.documents)
    .write(space.positions, batch.positions)
    .write(space.cos, batch.cos)
    .write(space.sin, batch.sin)
    .call({ kernel: "fill", buffer: x0, value: 0 })
    .call({ kernel: "gatherRows", table: parts.language.parameter(embeddingName), ids: space.ids, into: x0 })
    .run(
      await programs.mask(shapeOf(batch)),
      { documents: space.documents, positions: space.positions },
      { mask: space.mask },
    );
  if (batch.pictures.length === 0) return;
  const pictures = context.pictures(batch.pictures.length);
  const features = await context.features(batch.pictures.map((place) => place.image));
  const { forward } = programs.projector(pictures.features.shape[0]!);
  pass
    .write(pictures.features, features, { transfer: true })
    .run(
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

export async function forwardLayers(
  context: StepContext,
  pass: Pass,
  batch: MicroBatch,
  space: Workspace,
): Promise<void> {
  const forward = await context.programs.layer(shapeOf(batch)).forward();
  space.saved.forEach((saved, layer) => {
    const inputs = { x: space.x[layer]!, ...rowInputs(space), ...layerWeights(context, layer) };
    pass.run(forward, inputs, { ...saved, y: space.x[layer + 1]! });
  });
}
