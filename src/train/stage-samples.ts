// Reads a stage's files: every sample checked and tokenised, pictures by their full names.
import { createHash } from "node:crypto";
import type { CheckProgress } from "../data/check.ts";
import type { EncodedSample, Encoding } from "../data/encode.ts";
import { mirrorSample } from "../data/mirror.ts";
import { readChecked, type Remembering } from "../data/read-checked.ts";
import type { Sample } from "../data/sample.ts";
import { templateFor } from "../models/template.ts";
import type { Template } from "../text/segments.ts";
import type { Assembly } from "./assemble.ts";
import { pictureName, type PictureSource } from "./features.ts";
import { pictureTokens, splitViews } from "./picture-views.ts";
import type { PicturedFile, StageRecipe } from "./recipe.ts";

/** One file's samples, as read and as tokens, in the file's order. */
export interface ReadFile {
  /** may be empty where the stage neither mirrors nor evaluates */
  readonly samples: readonly Sample[];
  /** pictures by their full names (features.ts) */
  readonly encoded: readonly EncodedSample[];
}

export interface ReadStage {
  readonly stage: StageRecipe;
  /** one for each of the stage's data files */
  readonly files: readonly ReadFile[];
  /** the file that its evaluations take samples from */
  readonly heldOutFile?: ReadFile;
  /** samples of files that are mirrored → what they become; none where that can't be known */
  readonly mirrored: ReadonlyMap<EncodedSample, EncodedSample>;
  /** of all files, by their full names */
  readonly pictures: ReadonlyMap<string, PictureSource>;
}

export type TextParts = Pick<Assembly, "config" | "tokenizer" | "tokenizerFiles" | "preprocessor">;

/** How a stage writes conversations: its own template, else the model's. */
export function stageTemplate(
  { config, tokenizer, tokenizerFiles }: Omit<TextParts, "preprocessor">,
  stage: StageRecipe,
): Template {
  return templateFor(tokenizer, {
    name: stage.template ?? config.template,
    chatTemplate: tokenizerFiles.chatTemplate,
    where: tokenizerFiles.where,
  });
}

export interface ReadStageOptions {
  /** folder that remembers tokens and whole pictures; made when missing */
  readonly cache?: string | undefined;
  readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
}

/** Reads all files of a stage; throws what is wrong with them. */
export async function readStage(
  parts: TextParts,
  stage: StageRecipe,
  { cache, onProgress }: ReadStageOptions = {},
): Promise<ReadStage> {
  const { config, tokenizer } = parts;
  const text = { tokenizer, template: stageTemplate(parts, stage), imageTokenId: config.imageTokenId };
  const maxTokens = stage.row_length === "auto" ? config.language.maxPositions : stage.row_length;
  const pictures = new Map<string, PictureSource>();
  const mirrored = new Map<EncodedSample, EncodedSample>();
  const read = async ({ path, images: root }: PicturedFile, mirror = false): Promise<ReadFile> => {
    const encoding: Encoding = { ...text, tokensPerImage: await pictureTokens(path, root, parts) };
    const options = { imagesRoot: root, encoding, maxTokens, ...(onProgress === undefined ? {} : { onProgress }) };
    const withSamples = mirror || stage.evaluate !== undefined;
    const remember = cache === undefined ? undefined : rememberedIn(cache, parts, stage, encoding);
    const { samples, encoded } = await readChecked(path, { ...options, withSamples, remember });
    const file = { samples, encoded: encoded.map((sample) => named(sample, { root })) };
    for (const [i, sample] of mirror ? samples.entries() : []) {
      const twin = mirrorSample(sample, encoding, maxTokens);
      if (twin) mirrored.set(file.encoded[i]!, named(twin, { root, mirrored: true }));
    }
    return file;
  };
  const named = (sample: EncodedSample, where: Omit<PictureSource, "image">): EncodedSample => {
    const { pictures: seen, imageRuns } = splitViews(sample, parts);
    const places = seen.map((picture) => ({ ...picture, ...where }));
    for (const place of places) pictures.set(pictureName(place), place);
    return { ...sample, images: places.map(pictureName), imageRuns };
  };
  const files: ReadFile[] = [];
  for (const source of stage.data) files.push(await read(source, source.mirror));
  const heldOut = stage.evaluate?.held_out;
  const heldOutFile = typeof heldOut === "object" ? await read(heldOut) : undefined;
  return { stage, files, mirrored, pictures, ...(heldOutFile && { heldOutFile }) };
}

/** Tokens that depend on each picture's size (tiles) are not remembered. */
function rememberedIn(
  folder: string,
  { config, tokenizerFiles }: TextParts,
  stage: StageRecipe,
  { tokensPerImage, imageTokenId }: Encoding,
): Remembering | undefined {
  if (typeof tokensPerImage !== "number") return undefined;
  const { tokenizerJson, tokenizerConfig, chatTemplate } = tokenizerFiles;
  const text = JSON.stringify([tokenizerJson, tokenizerConfig, chatTemplate]);
  const tokenizer = createHash("sha256").update(text).digest("hex");
  return { folder, rules: { tokenizer, template: stage.template ?? config.template, tokensPerImage, imageTokenId } };
}
