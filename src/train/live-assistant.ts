// The model in training as one that answers: the engine's weights as they are, nothing written or loaded.
import type { Assistant } from "../generate/assistant.ts";
import { createGenerator } from "../generate/generator.ts";
import { createPictureProjector, type PictureProjector, type PictureReader } from "../generate/pictures.ts";
import { tokensPerPicture } from "../models/config.ts";
import { openTower } from "../models/encode-pictures.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Assembly } from "./assemble.ts";
import type { StagePictures } from "./pixels.ts";
import type { StageRecipe } from "./recipe.ts";
import { stageTemplate } from "./stage-samples.ts";
import type { Parts } from "./step-context.ts";

export interface LiveModel {
  readonly engine: Engine;
  readonly assembly: Pick<Assembly, "config" | "tokenizer" | "tokenizerFiles" | "preprocessor" | "endIds">;
  readonly stage: StageRecipe;
  readonly parts: Parts;
  readonly features: StagePictures;
}

/** Answers as the stage writes conversations, until the next step changes the weights: then it must be released. */
export async function openLiveAssistant({ engine, assembly, stage, parts, features }: LiveModel): Promise<Assistant> {
  const { config, tokenizer, preprocessor, endIds } = assembly;
  const projector = await createPictureProjector(engine, config, parts.projector.parameter, parts.projector.form.lora);
  const { parameter, prepare, form } = parts.language;
  const generator = createGenerator({ engine, config: config.language, parameter, prepare, lora: form.lora });
  const tokens = tokensPerPicture(config);
  const tower = parts.vision && openTower(engine, config, parts.vision.parameter, 1);
  const reader = tower
    ? pictureReader(tokens, projector, async (_, pixels) => (await tower.encode([await pixels()]))[0]!, tower.release)
    : pictureReader(tokens, projector, (key) => features.loadByHash!(key));
  return {
    generator,
    tokenizer,
    template: stageTemplate(assembly, stage),
    endIds,
    sight: { reader, preprocessor, imageTokenId: config.imageTokenId },
    where: `stage ${stage.name}`,
    release: async () => {
      await generator.release();
      await reader.release();
    },
  };
}

/** Pictures by their features; tower and projector have one set of buffers each, so one picture at a time. */
function pictureReader(
  tokens: number,
  projector: PictureProjector,
  featuresOf: (...picture: Parameters<PictureReader["read"]>) => Promise<Float32Array>,
  release?: () => Promise<void>,
): PictureReader {
  let last: Promise<unknown> = Promise.resolve();
  return {
    tokens,
    read: (key, pixels) => {
      const picture = last.then(async () => ({ key, rows: await projector.project(await featuresOf(key, pixels)) }));
      last = picture.catch(() => undefined);
      return picture;
    },
    release: async () => {
      await last;
      await projector.release();
      await release?.();
    },
  };
}
