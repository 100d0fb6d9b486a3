// The model in training as one that answers: the engine's weights as they are, nothing written or loaded.
import type { Assistant } from "../generate/assistant.ts";
import { createGenerator } from "../generate/generator.ts";
import { sightOf } from "../generate/sight-node.ts";
import {
  createPictureProjector,
  type PictureProjector,
  type PictureReader,
  projectViews,
  type Views,
} from "../generate/pictures.ts";
import { type LlavaConfig, tokensPerPicture } from "../models/config.ts";
import { openTower } from "../models/encode-pictures.ts";
import { featureWidth } from "../models/projector.ts";
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
    ? pictureReader(tokens, projector, async (_, views) => tower.encode(await views()), tower.release)
    : pictureReader(tokens, projector, async (key) => viewsIn(await features.loadByHash!(key), config));
  return {
    generator,
    tokenizer,
    template: stageTemplate(assembly, stage),
    endIds,
    sight: { reader, preprocessor, ...sightOf(config) },
    where: `stage ${stage.name}`,
    release: async () => {
      await generator.release();
      await reader.release();
    },
  };
}

/** Features of a picture cut into those of its views. */
function viewsIn(features: Float32Array, config: LlavaConfig): Views {
  const one = tokensPerPicture(config) * featureWidth(config);
  return Array.from({ length: features.length / one }, (_, i) => features.subarray(i * one, (i + 1) * one));
}

/** Pictures by their features; tower and projector have one set of buffers each, so one picture at a time. */
function pictureReader(
  tokens: number,
  projector: PictureProjector,
  featuresOf: (...picture: Parameters<PictureReader["read"]>) => Promise<Views>,
  release?: () => Promise<void>,
): PictureReader {
  let last: Promise<unknown> = Promise.resolve();
  return {
    tokens,
    read: (key, views) => {
      const picture = last.then(async () => ({
        key,
        rows: await projectViews(projector, await featuresOf(key, views)),
      }));
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
