// Opens model folders and pictures for answering on Node.
import { InputError } from "../errors.ts";
import { decodePicture, pictureHash, readPictureBytes } from "../image/node.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import type { LlavaConfig } from "../models/config.ts";
import { type LlavaFiles, openModel } from "../models/node.ts";
import { templateFor } from "../models/template.ts";
import type { Engine } from "../runtime/engine.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import type { Assistant, Picture, Sight } from "./assistant.ts";
import { createAttentionReader } from "./attention-maps.ts";
import { createGenerator } from "./generator.ts";
import { createPictureProjector, createPictureReader } from "./pictures.ts";
import { uploadWeights } from "./weights.ts";

export interface OpenOptions {
  readonly engine: Engine;
  /** a conversation template by name, "model" for the model's own; else what the model was trained with, else its own */
  readonly template?: string | undefined;
  /** folder of a PEFT adapter for this model */
  readonly adapter?: string | undefined;
  /** told how many of the language model's tensors are loaded */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Opens a llava model, or a bare language model (which answers words alone), and loads it into the engine.
 * Throws as `openModel` and `templateFor`, `MODEL_KIND` for a vision tower, `PREPROCESSOR_…`, `TOKENIZER_INVALID`.
 */
export async function openAssistant(path: string, options: OpenOptions): Promise<Assistant> {
  const { engine, onProgress } = options;
  const files = await openModel(path, options);
  try {
    if (files.kind === "vision") {
      const fix = "name a model made by llava train, or a language model";
      throw new InputError("MODEL_KIND", { expected: "a model that answers", got: "a vision tower", where: path, fix });
    }
    const tokenizerFiles = await files.tokenizer();
    const tokenizer = createTokenizer(tokenizerFiles);
    const trained = files.kind === "llava" ? files.config.template : undefined;
    const template = templateFor(tokenizer, {
      name: options.template ?? trained,
      chatTemplate: tokenizerFiles.chatTemplate,
      where: path,
    });
    const sight = files.kind === "llava" ? await openSight(engine, files) : undefined;
    const config = files.kind === "llava" ? files.config.language : files.config;
    const language = await uploadWeights(engine, files.kind === "llava" ? files.language : files.weights, onProgress);
    const { parameter } = language;
    const generator = createGenerator({ engine, config, parameter });
    const attention = createAttentionReader(engine, config, { parameter });
    return {
      generator,
      tokenizer,
      template,
      endIds: files.endIds,
      attention,
      where: path,
      ...(sight && { sight: sight.sight }),
      release: async () => {
        await generator.release();
        await attention.release();
        await sight?.release();
        language.release();
      },
    };
  } finally {
    await files.close();
  }
}

async function openSight(
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

/** Reads and decodes a picture file. Throws `PICTURE_…` as `readPicture`. */
export async function readChatPicture(path: string): Promise<Picture> {
  return { ...(await decodeChatPicture(await readPictureBytes(path), path)), path };
}

/** Decodes a picture's bytes; `where` names it in errors. Throws `PICTURE_…` as `decodePicture`. */
export async function decodeChatPicture(bytes: Uint8Array, where: string): Promise<Picture> {
  return { key: pictureHash(bytes), pixels: await decodePicture(bytes, where) };
}
