// What a vision encoder expects of a picture: Hugging Face's preprocessor_config.json, read and written.
import { InputError } from "../errors.ts";
import type { Filter, Size } from "./resize.ts";

/** The processors that are known, by the family in transformers that they come from. */
export type PreprocessorFamily = "clip" | "siglip" | "vit" | "llava";

type Triple = readonly [number, number, number];

/** How pictures become a tower's input: pad, resize, crop, rescale, normalise, in this order. */
export interface Preprocessor {
  readonly family: PreprocessorFamily;
  /** put the picture in the middle of a square of the mean colour first (LLaVA-1.5) */
  readonly padToSquare: boolean;
  /** a number: the length of the shorter side; null: no resizing */
  readonly resize: Size | number | null;
  readonly filter: Filter;
  /** cut from the middle; black is added where the picture is smaller */
  readonly crop: Size | null;
  /** factor on pixel values 0–255, usually 1/255 */
  readonly rescale: number | null;
  readonly mean: Triple;
  readonly std: Triple;
  readonly normalise: boolean;
}

/** How pictures that are not square become square: cut the longer side, pad the shorter one, or distort. */
export type Fit = "crop" | "pad" | "stretch";

interface Defaults {
  readonly className: string;
  readonly resample: number;
  readonly size: unknown;
  readonly crop: boolean;
  /** a single number for `size` means a square, not the shorter side */
  readonly numberIsSquare: boolean;
  readonly mean: Triple;
  readonly std: Triple;
}

const filters: readonly (Filter | undefined)[] = [undefined, "lanczos", "bilinear", "bicubic", "box", "hamming"];

const clip = {
  resample: 3,
  size: { shortest_edge: 224 },
  crop: true,
  numberIsSquare: false,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
} as const;
const square = { size: { height: 224, width: 224 }, crop: false, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;

/** The class defaults of transformers 5. */
const defaults: Readonly<Record<PreprocessorFamily, Defaults>> = {
  clip: { className: "CLIPImageProcessor", ...clip },
  llava: { className: "LlavaImageProcessor", ...clip },
  siglip: { className: "SiglipImageProcessor", ...square, resample: 3, numberIsSquare: false },
  vit: { className: "ViTImageProcessor", ...square, resample: 2, numberIsSquare: true },
};

const classNames: Readonly<Record<string, PreprocessorFamily>> = {
  CLIPImageProcessor: "clip",
  CLIPFeatureExtractor: "clip",
  LlavaImageProcessor: "llava",
  SiglipImageProcessor: "siglip",
  ViTImageProcessor: "vit",
  ViTFeatureExtractor: "vit",
};

type Json = Readonly<Record<string, unknown>>;

const maxSide = 4096;

/**
 * Reads preprocessor_config.json (or processor_config.json with an `image_processor` inside) of CLIP, SigLIP, ViT and
 * LLaVA; absent or null fields take the class defaults of transformers. `fallback` is the family of old files that do
 * not name their class. Throws InputErrors `PREPROCESSOR_KIND` (another class) and `PREPROCESSOR_FIELD` (naming it).
 */
export function parsePreprocessor(json: unknown, where: string, fallback?: PreprocessorFamily): Preprocessor {
  const outer = asObject(json, where);
  const inner = outer["image_processor"] ?? undefined;
  if (inner === undefined) return readConfig(outer, where, fallback);
  const whereInside = `${where}: image_processor`;
  return readConfig(asObject(inner, whereInside), whereInside, fallback);
}

function readConfig(config: Json, where: string, fallback: PreprocessorFamily | undefined): Preprocessor {
  const family = familyOf(config, where, fallback);
  const base = defaults[family];
  const flag = (name: string, otherwise: boolean): boolean => boolean(config[name] ?? otherwise, `${where}: ${name}`);
  const size = readSize(config["size"] ?? base.size, `${where}: size`, base.numberIsSquare);
  const crop = readSize(config["crop_size"] ?? 224, `${where}: crop_size`, true);
  const preprocessor: Preprocessor = {
    family,
    padToSquare: family === "llava" && flag("do_pad", false),
    resize: flag("do_resize", true) ? size : null,
    filter: readFilter(config["resample"] ?? base.resample, `${where}: resample`),
    crop: flag("do_center_crop", base.crop) ? (typeof crop === "number" ? squareOf(crop) : crop) : null,
    rescale: flag("do_rescale", true)
      ? positive(config["rescale_factor"] ?? 1 / 255, `${where}: rescale_factor`)
      : null,
    mean: triple(config["image_mean"] ?? base.mean, `${where}: image_mean`, number),
    std: triple(config["image_std"] ?? base.std, `${where}: image_std`, positive),
    normalise: flag("do_normalize", true),
  };
  inputSize(preprocessor, where);
  return preprocessor;
}

function familyOf(config: Json, where: string, fallback: PreprocessorFamily | undefined): PreprocessorFamily {
  const named = config["image_processor_type"] ?? config["feature_extractor_type"];
  const family = typeof named === "string" ? classNames[named.replace(/(Fast|Pil)$/, "")] : fallback;
  if (family !== undefined) return family;
  throw new InputError("PREPROCESSOR_KIND", {
    expected: `image_processor_type to be one of ${Object.keys(classNames).join(", ")}`,
    got: named === undefined ? "no such field" : show(named),
    where,
    fix: "use a CLIP, SigLIP or ViT encoder, or write a preprocessor_config.json of one of these classes",
  });
}

/**
 * Height and width of what the tower is fed. Throws `PREPROCESSOR_FIELD` when they would depend on the picture (only
 * the shorter side is fixed and nothing is cropped), which towers with learned positions can't take.
 */
export function inputSize(preprocessor: Preprocessor, where = "preprocessor"): Size {
  const { crop, resize, padToSquare } = preprocessor;
  if (crop !== null) return crop;
  if (typeof resize === "object" && resize !== null) return resize;
  if (padToSquare && resize !== null) return squareOf(resize);
  throw fieldError("a fixed input size (size with height and width, or do_center_crop)", "one that varies", where);
}

/** The same preprocessor with another way to make pictures square; the tower's input size stays. */
export function withFit(preprocessor: Preprocessor, fit: Fit): Preprocessor {
  const size = inputSize(preprocessor);
  if (fit === "stretch") return { ...preprocessor, padToSquare: false, resize: size, crop: null };
  if (fit === "pad") return { ...preprocessor, family: "llava", padToSquare: true, resize: size, crop: null };
  const isCrop = !preprocessor.padToSquare && typeof preprocessor.resize === "number" && preprocessor.crop !== null;
  if (isCrop) return preprocessor;
  return { ...preprocessor, padToSquare: false, resize: Math.max(size.width, size.height), crop: size };
}

/**
 * The preprocessor_config.json of a model directory that we write; `parsePreprocessor` reads it back unchanged.
 * The class is the one that transformers needs for these steps: padding is LLaVA's, cropping is CLIP's.
 */
export function writePreprocessor(preprocessor: Preprocessor): Readonly<Record<string, unknown>> {
  const { padToSquare, resize, crop, filter, rescale, mean, std, normalise } = preprocessor;
  const family = writtenFamily(preprocessor);
  return {
    image_processor_type: defaults[family].className,
    do_convert_rgb: true,
    ...(family === "llava" ? { do_pad: padToSquare } : {}),
    do_resize: resize !== null,
    ...(resize === null ? {} : { size: typeof resize === "number" ? { shortest_edge: resize } : sizeJson(resize) }),
    resample: filters.indexOf(filter),
    do_center_crop: crop !== null,
    ...(crop === null ? {} : { crop_size: sizeJson(crop) }),
    do_rescale: rescale !== null,
    ...(rescale === null ? {} : { rescale_factor: rescale }),
    do_normalize: normalise,
    image_mean: mean,
    image_std: std,
  };
}

function writtenFamily({ family, padToSquare, crop }: Preprocessor): PreprocessorFamily {
  if (padToSquare) return "llava";
  return crop !== null && (family === "siglip" || family === "vit") ? "clip" : family;
}

/** Canonical JSON of everything that decides a picture's numbers: the preprocessing part of a cache key. */
export function preprocessorKey(preprocessor: Preprocessor): string {
  const { padToSquare, resize, filter, crop, rescale, mean, std, normalise } = preprocessor;
  const size = (value: Size | null): readonly number[] | null => value && [value.width, value.height];
  // the first entry changes when the arithmetic does
  const resized = typeof resize === "number" ? resize : size(resize);
  return JSON.stringify(["pixels-1", padToSquare, resized, filter, size(crop), rescale, mean, std, normalise]);
}

function squareOf(side: number): Size {
  return { width: side, height: side };
}

function sizeJson({ width, height }: Size): Json {
  return { height, width };
}

function readSize(value: unknown, where: string, numberIsSquare: boolean): Size | number {
  if (typeof value === "number") return numberIsSquare ? squareOf(side(value, where)) : side(value, where);
  if (Array.isArray(value) && value.length === 2)
    return { height: side(value[0], where), width: side(value[1], where) };
  const size = asObject(value, where);
  if (size["longest_edge"] !== undefined && size["longest_edge"] !== null) {
    throw fieldError("height and width, or shortest_edge", "longest_edge", where);
  }
  const shortest = size["shortest_edge"];
  if (shortest !== undefined && shortest !== null) return side(shortest, `${where}.shortest_edge`);
  return { width: side(size["width"], `${where}.width`), height: side(size["height"], `${where}.height`) };
}

function readFilter(value: unknown, where: string): Filter {
  const filter = typeof value === "number" ? filters[value] : undefined;
  if (filter === undefined)
    throw fieldError("1 (Lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (Hamming)", show(value), where);
  return filter;
}

function asObject(value: unknown, where: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw fieldError("an object", show(value), where);
}

function boolean(value: unknown, where: string): boolean {
  if (typeof value === "boolean") return value;
  throw fieldError("true or false", show(value), where);
}

function number(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw fieldError("a number", show(value), where);
}

function positive(value: unknown, where: string): number {
  if (number(value, where) > 0) return value as number;
  throw fieldError("a number above 0", show(value), where);
}

function side(value: unknown, where: string): number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maxSide) return value as number;
  throw fieldError(`a whole number from 1 to ${maxSide}`, show(value), where);
}

function triple(value: unknown, where: string, item: (value: unknown, where: string) => number): Triple {
  const values = typeof value === "number" ? [value, value, value] : value;
  if (!Array.isArray(values) || values.length !== 3) throw fieldError("three numbers", show(value), where);
  return [item(values[0], `${where}[0]`), item(values[1], `${where}[1]`), item(values[2], `${where}[2]`)];
}

function fieldError(expected: string, got: string, where: string): InputError {
  return new InputError("PREPROCESSOR_FIELD", { expected, got, where, fix: "correct the file, or fetch it again" });
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
