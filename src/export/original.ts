// LLaVA's own checkpoints (github.com/haotian-liu/LLaVA, 1.0 to 1.5; whole or as deltas) → a llava directory.
import { basename, join } from "node:path";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { openFile } from "../formats/node.ts";
import { parsePreprocessor, withFit } from "../image/preprocessor.ts";
import { modelCard } from "../models/card.ts";
import { parseLanguageConfig, type LanguageConfig, type LlavaConfig } from "../models/config.ts";
import type { WrittenDType } from "../models/config-write.ts";
import { embeddingName, languageShapes } from "../models/llama.ts";
import { openVision, type TokenizerFiles, type VisionFiles } from "../models/node.ts";
import { projectorShapes } from "../models/projector.ts";
import { type ModelToSave, writeFolder } from "../models/save-node.ts";
import { exists, type Json, openTensors, optionalObject, readObject, renamed } from "../models/tensors-node.ts";
import { readTokenizer } from "../models/tokenizer-node.ts";
import { partWeights, type PartWeights, type TensorReader } from "../models/weights.ts";
import { visionFileName, visionPrefix } from "../models/names.ts";
import { addTokens } from "../train/vocabulary.ts";
import { checkOutput } from "./output.ts";
import { sentencePieceFiles } from "./sentencepiece.ts";
import { writeLlava } from "./write-llava.ts";

export interface ImportOptions {
  readonly out: string;
  /** folder of the CLIP tower that the checkpoint names */
  readonly vision: string;
  /** folder of the language model that a delta is to be added to */
  readonly base?: string;
  /** folder with tokenizer.json or tokenizer.model; the checkpoint's own unless told */
  readonly tokenizer?: string;
  readonly template?: string;
  readonly dtype?: WrittenDType;
  readonly shardBytes: number;
  readonly force?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

const schema = z.looseObject({
  mm_vision_tower: z.string(),
  mm_projector_type: z.string().default("linear"),
  mm_vision_select_layer: z.number().int().default(-2),
  mm_vision_select_feature: z.enum(["patch", "cls_patch"]).default("patch"),
  mm_use_im_start_end: z.literal(false).default(false),
  image_aspect_ratio: z.string().nullish(),
});

const projectorKinds: Readonly<Record<string, LlavaConfig["projector"]["kind"]>> = {
  linear: "linear",
  mlp2x_gelu: "mlp2x_gelu",
};
const imageToken = "<image>";

/**
 * Reads a checkpoint and writes it as a llava directory, one tensor at a time. Throws `IMPORT_CONFIG`, `IMPORT_BASE`, and
 * what opening models and tokenizers throws.
 */
export async function importOriginal(checkpoint: string, options: ImportOptions): Promise<void> {
  const out = await checkOutput(checkpoint, options.out, options.force ?? false);
  const open: { close(): Promise<void> }[] = [];
  try {
    const model = await readOriginal(checkpoint, options, open);
    const { dtype = "F16", shardBytes, onProgress } = options;
    await writeFolder(out, (unfinished) => writeLlava(unfinished, model, { dtype, shardBytes, onProgress }));
  } finally {
    for (const one of open) await one.close();
  }
}

/** The model, its weights still in their files, which are added to `open`. */
async function readOriginal(
  checkpoint: string,
  options: ImportOptions,
  open: { close(): Promise<void> }[],
): Promise<ModelToSave> {
  const kept = <T extends { close(): Promise<void> }>(opened: T): T => (open.push(opened), opened);
  const where = join(checkpoint, "config.json");
  const json = await readObject(where);
  const stated = parseStated(json, where);
  const reader = kept(renamed(await openTensors(checkpoint), originalName));
  const vision = kept(await openVision(options.vision));
  const base = options.base === undefined ? undefined : kept(await openTensors(options.base));
  const language = parseLanguageConfig(languageJson(json), where);
  const files = await tokenizerOf(options.tokenizer ?? checkpoint);
  const weights = languageWeights(reader, language, base);
  const extended = addTokens(files, { config: language, weights }, [imageToken]);
  const config: LlavaConfig = {
    vision: vision.config,
    language: extended.config,
    projector: { kind: stated.kind, pixelShuffle: 1, bias: true, activation: "gelu" },
    features: { layer: stated.layer, select: stated.select },
    imageTokenId: extended.tokenizer.controlId(imageToken)!,
    template: options.template ?? "vicuna_v1",
  };
  const preprocessor = parsePreprocessor(await vision.preprocessor(), vision.where, vision.config.family);
  return {
    config,
    vision: towerWeights(reader, vision),
    projector: projectorWeights(reader, config),
    language: extended.weights,
    tokenizerFiles: extended.tokenizerFiles,
    preprocessor: stated.pads ? withFit(preprocessor, "pad") : preprocessor,
    endIds: extended.tokenizer.eos === undefined ? [] : [extended.tokenizer.eos.id],
    card: modelCard({ name: basename(options.out), config }),
  };
}

interface Stated {
  readonly kind: LlavaConfig["projector"]["kind"];
  readonly layer: number;
  readonly select: LlavaConfig["features"]["select"];
  readonly pads: boolean;
}

function parseStated(json: Json, where: string): Stated {
  const result = schema.safeParse(json);
  if (!result.success) {
    const { message, path } = result.error.issues[0]!;
    const fix = "name a checkpoint of LLaVA 1.0 to 1.5; those of transformers are opened as they are";
    throw new InputError("IMPORT_CONFIG", { expected: message, got: `at ${path.join(".")}`, where, fix });
  }
  const { mm_projector_type: type, mm_vision_select_layer: layer, mm_vision_select_feature: feature } = result.data;
  const kind = projectorKinds[type];
  if (kind === undefined) {
    const expected = `mm_projector_type ${Object.keys(projectorKinds).join(" or ")}`;
    throw new InputError("IMPORT_CONFIG", { expected, got: type, where });
  }
  const pads = result.data.image_aspect_ratio === "pad";
  return { kind, layer, select: feature === "patch" ? "default" : "full", pads };
}

/** What is the language model's own in a config that holds all parts flat. */
function languageJson(json: Json): Json {
  const foreign = /^(mm_|image_|tune_|freeze_|unfreeze_|use_mm_|tokenizer_|_name_or_path|architectures|auto_map)/;
  return { ...Object.fromEntries(Object.entries(json).filter(([key]) => !foreign.test(key))), model_type: "llama" };
}

/** `model.mm_projector` is one layer (1.0) or the steps 0 and 2 of a sequence (1.5); towers that were trained lie inside. */
function originalName(name: string): string {
  return name
    .replace(/^model\.mm_projector\.(weight|bias)$/, "mm_projector.linear_1.$1")
    .replace(/^model\.mm_projector\.0\./, "mm_projector.linear_1.")
    .replace(/^model\.mm_projector\.2\./, "mm_projector.linear_2.")
    .replace(/^model\.vision_tower\.(vision_tower\.)?/, "vision_tower.");
}

const projectorWeights = (reader: TensorReader, config: LlavaConfig): PartWeights =>
  partWeights(reader, projectorShapes(config), {
    fileName: (name) => `mm_projector.${name}`,
    prefix: "mm_projector.",
  });

/** The checkpoint's own tower where it holds one, else the one beside it. */
function towerWeights(reader: TensorReader, vision: VisionFiles): PartWeights {
  const prefix = `vision_tower.${visionPrefix[vision.config.family]}`;
  if (![...reader.shapes.keys()].some((name) => name.startsWith(prefix))) return vision.weights;
  return partWeights(reader, vision.weights.shapes, {
    fileName: (name) => prefix + visionFileName(vision.config.family, name),
    prefix,
    ignored: /position_ids$|pooler\.|^head\./,
  });
}

/**
 * The language model; a delta is what must be added to the base, whose vocabulary may be smaller: rows beyond it are the
 * delta's own (LLaVA's apply_delta).
 */
function languageWeights(reader: TensorReader, config: LanguageConfig, base: TensorReader | undefined): PartWeights {
  const shapes = languageShapes(config);
  const placement = {
    fileName: (name: string) => name,
    ignored: /rotary_emb\.inv_freq$|^mm_projector\.|^vision_tower\./,
  };
  const own = partWeights(reader, shapes, placement);
  if (base === undefined) return own;
  const smaller = (name: string): boolean => name === embeddingName || name === "lm_head.weight";
  for (const [name, shape] of shapes) {
    const there = base.shapes.get(name);
    const fits =
      there !== undefined &&
      there.length === shape.length &&
      there.every((n, i) => n === shape[i] || (i === 0 && smaller(name) && n < shape[0]!));
    if (fits) continue;
    const got = there === undefined ? "none" : `[${there.join(", ")}]`;
    const fix = "name the language model that the delta was made from";
    throw new InputError("IMPORT_BASE", {
      expected: `${name} [${shape.join(", ")}] or fewer rows`,
      got,
      where: base.where,
      fix,
    });
  }
  return {
    shapes,
    load: async (name) => {
      const [values, under] = [await own.load(name), await base.load(name)];
      for (let i = 0; i < under.length; i++) values[i]! += under[i]!;
      return values;
    },
  };
}

async function tokenizerOf(folder: string): Promise<TokenizerFiles> {
  if (await exists(join(folder, "tokenizer.json"))) return readTokenizer(folder);
  const path = join(folder, "tokenizer.model");
  const source = await openFile(path);
  try {
    const bytes = await source.read(0, Math.min(source.size, 1 << 26));
    return sentencePieceFiles(bytes, (await optionalObject(join(folder, "tokenizer_config.json"))) ?? {}, path);
  } finally {
    await source.close();
  }
}
