// What a llava model sees with, loaded into the engine: tower, projector, preprocessing.
import { parsePreprocessor } from "../image/preprocessor.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { LlavaFiles } from "../models/node.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Sight } from "./assistant.ts";
import { createPictureProjector, createPictureReader } from "./pictures.ts";
import { uploadWeights } from "./weights.ts";

/** Loads tower and projector. Throws `PREPROCESSOR_…`. */
export async function openSight(
  engine: Engine,
  files: LlavaFiles,
): Promise<{ readonly sight: Sight; release(): Promise<void> }> {
  const { config, vision } = files;
  const preprocessor = parsePreprocessor(await files.preprocessor(), files.where, config.vision.family);
  const projector = await uploadWeights(engine, files.projector);
  const projection = await createPictureProjector(engine, config, projector.parameter);
  const reader = await createPictureReader(engine, config, vision, projection);
  const release = async (): Promise<void> => {
    await reader.release();
    projector.release();
  };
  return { sight: { reader, preprocessor, ...sightOf(config) }, release };
}

/** What a model's config says of how it sees. */
export function sightOf({ imageTokenId, tiles }: LlavaConfig): Pick<Sight, "imageTokenId" | "tiles"> {
  return { imageTokenId, ...(tiles === undefined ? {} : { tiles }) };
}
