// How samples become tokens for the data verbs: as a recipe's stage will do it, or as a model reads them.
import { dirname } from "node:path";
import { InputError } from "../errors.ts";
import type { Encoding } from "../data/encode.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { tokensPerPicture } from "../models/config.ts";
import { type LlavaFiles, openModel } from "../models/node.ts";
import { templateFor } from "../models/template.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { assemble, imageToken } from "../train/assemble.ts";
import { pictureTokens as countTokens } from "../train/picture-views.ts";
import { readRecipe } from "../train/recipe-read.ts";
import type { Recipe, StageRecipe } from "../train/recipe.ts";

export interface EncodingOptions {
  readonly recipe?: string;
  /** a stage's name; the one that reads the file unless told */
  readonly stage?: string;
  readonly model?: string;
  readonly template?: string;
  /** tokens of a picture, for a language model that has no vision */
  readonly pictureTokens?: number;
  /** where the file's pictures lie; beside it unless told */
  readonly images?: string;
}

export interface ChosenEncoding {
  readonly encoding: Encoding;
  /** tokens that a row can hold at most */
  readonly maxTokens: number;
  /** the images folder that the recipe names for the file */
  readonly images?: string;
  /** the recipe's stage; absent with a model */
  readonly stage?: StageRecipe;
}

/** The encoding that `--recipe` or `--model` name; undefined without either. Throws `STAGE_UNKNOWN`, `MODEL_KIND`. */
export async function chooseEncoding(file: string, options: EncodingOptions): Promise<ChosenEncoding | undefined> {
  if (options.recipe !== undefined) return ofRecipe(file, await readRecipe(options.recipe), options);
  return options.model === undefined ? undefined : ofModel(file, options.model, options);
}

async function ofRecipe(
  file: string,
  recipe: Recipe,
  { stage: name, template }: EncodingOptions,
): Promise<ChosenEncoding> {
  const stage = chooseStage(recipe, file, name);
  const assembly = await assemble(recipe);
  const { config, tokenizer, tokenizerFiles } = assembly;
  await assembly.close();
  const images = stage.data.find(({ path }) => path === file)?.images;
  return {
    encoding: {
      tokenizer,
      template: templateFor(tokenizer, { name: template ?? stage.template ?? config.template, ...tokenizerFiles }),
      tokensPerImage: await countTokens(file, images ?? dirname(file), assembly),
      imageTokenId: config.imageTokenId,
    },
    maxTokens: stage.row_length === "auto" ? config.language.maxPositions : stage.row_length,
    ...(images === undefined ? {} : { images }),
    stage,
  };
}

function chooseStage({ stages }: Recipe, file: string, name: string | undefined): StageRecipe {
  const reads = (stage: StageRecipe): boolean => stage.data.some(({ path }) => path === file);
  const found =
    name === undefined ? (stages.find(reads) ?? stages.at(-1)) : stages.find((stage) => stage.name === name);
  if (found !== undefined) return found;
  const expected = `one of the stages ${stages.map((stage) => stage.name).join(", ")}`;
  throw new InputError("STAGE_UNKNOWN", { expected, got: `"${name}"`, where: "--stage" });
}

async function ofModel(file: string, path: string, options: EncodingOptions): Promise<ChosenEncoding> {
  const { template: name, pictureTokens, images = dirname(file) } = options;
  const files = await openModel(path);
  await files.close();
  if (files.kind === "vision") {
    const expected = "a model with a language half";
    throw new InputError("MODEL_KIND", { expected, got: "a vision tower alone", where: path });
  }
  const tokenizerFiles = await files.tokenizer();
  const { tokenizer } = createTokenizer(tokenizerFiles).withAdded([imageToken]);
  const llava = files.kind === "llava" ? files.config : undefined;
  const language = files.kind === "llava" ? files.config.language : files.config;
  return {
    encoding: {
      tokenizer,
      template: templateFor(tokenizer, { name: name ?? llava?.template, ...tokenizerFiles }),
      tokensPerImage: files.kind === "llava" ? await tokensIn(file, images, files) : (pictureTokens ?? 1),
      imageTokenId: llava?.imageTokenId ?? (tokenizer.controlId(imageToken) as number),
    },
    maxTokens: language.maxPositions,
  };
}

/** The model's preprocessor is read only where sizes of pictures matter. */
async function tokensIn(file: string, images: string, model: LlavaFiles): Promise<Encoding["tokensPerImage"]> {
  const { config, where } = model;
  if (config.tiles === undefined) return tokensPerPicture(config);
  const preprocessor = parsePreprocessor(await model.preprocessor(), where, config.vision.family);
  return countTokens(file, images, { config, preprocessor });
}
