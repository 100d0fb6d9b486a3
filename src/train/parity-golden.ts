// A golden file: what PyTorch and transformers computed on one batch, as safetensors, and the curves in the .json beside it.
// Shapes: B rows, T tokens a row, P pictures, S picture side.
import { z } from "zod";
import type { Row } from "../data/pack.ts";
import { InputError } from "../errors.ts";
import { openFile, readJsonFile } from "../formats/node.ts";
import { readSafetensors, type SafetensorsFile } from "../formats/safetensors.ts";
import { type Shape, showShape } from "../graph/tensor.ts";
import type { LlavaConfig } from "../models/config.ts";
import { canonicalLlavaName } from "../models/names.ts";
import { goldenRows } from "./parity-rows.ts";

/** Losses of AdamW steps on the same batch. */
export interface Curves {
  readonly align?: readonly number[] | undefined;
  readonly instruct?: readonly number[] | undefined;
}

const outputs = ["tower_features", "projected", "logits", "loss"] as const;
export type GoldenOutput = (typeof outputs)[number];

export interface Golden {
  readonly where: string;
  /** B rows of T tokens; their pictures are named "0", "1", … in order */
  readonly rows: readonly Row[];
  /** [3, S, S] each */
  readonly pictures: readonly Float32Array<ArrayBuffer>[];
  readonly greedy: Int32Array;
  readonly curves: Curves;
  /** parameters whose gradients the file holds, by a checkpoint's names (layout A) */
  readonly gradients: ReadonlySet<string>;
  output(name: GoldenOutput): Promise<Float32Array>;
  /** throws `GOLDEN_MISSING` */
  gradient(parameter: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Opens a golden file for a model. Throws `GOLDEN_MISSING` naming the key, `GOLDEN_SHAPE` where a tensor does not fit
 * the model, `GOLDEN_VALUE` for ids outside the vocabulary, and pictures and picture tokens that do not add up.
 */
export async function openGolden(path: string, config: LlavaConfig): Promise<Golden> {
  const source = await openFile(path);
  try {
    const file = await readSafetensors(source);
    for (const key of outputs) shapeOf(file, key);
    const gradients = gradientKeys(file);
    return {
      where: path,
      ...(await readInputs(file, config)),
      greedy: await integers(file, "greedy", config.language.vocabSize),
      curves: await readCurves(path.replace(/\.safetensors$/, "") + ".json"),
      gradients: new Set(gradients.keys()),
      output: (name) => file.loadFloat32(name),
      gradient: async (parameter) => {
        const key = gradients.get(parameter) ?? `grad.${parameter}`;
        shapeOf(file, key);
        return file.loadFloat32(key);
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readInputs(file: SafetensorsFile, config: LlavaConfig): Promise<Pick<Golden, "rows" | "pictures">> {
  const side = config.vision.imageSize;
  const [pictures] = shapeOf(file, "pixel_values", [-1, 3, side, side]) as [number];
  const [count, length] = shapeOf(file, "input_ids", [-1, -1]) as [number, number];
  shapeOf(file, "labels", [count, length]);
  const pixels = await file.loadFloat32("pixel_values");
  const ids = await integers(file, "input_ids", config.language.vocabSize);
  const labels = await integers(file, "labels", config.language.vocabSize);
  return {
    rows: goldenRows({ ids, labels, length, pictures, where: file.name }, config),
    pictures: Array.from({ length: pictures }, (_, i) =>
      pixels.slice((i * pixels.length) / pictures, ((i + 1) * pixels.length) / pictures),
    ),
  };
}

function gradientKeys({ tensors }: SafetensorsFile): Map<string, string> {
  const keys = [...tensors.keys()].filter((key) => key.startsWith("grad."));
  return new Map(keys.map((key) => [canonicalLlavaName(key.slice("grad.".length)), key]));
}

/** The shape of a tensor that must be there; -1 in `expected` stands for any length. */
function shapeOf(file: SafetensorsFile, key: string, expected?: Shape): Shape {
  const { name: where } = file;
  const shape = file.tensors.get(key)?.shape;
  if (shape === undefined) {
    throw new InputError("GOLDEN_MISSING", { expected: `the tensor ${key}`, got: "none of that name", where });
  }
  const fits = (n: number, i: number): boolean => n > 0 && (expected![i] === -1 || expected![i] === n);
  if (expected === undefined || (shape.length === expected.length && shape.every(fits))) return shape;
  const wanted = `${key} ${showShape(expected).replaceAll("-1", "any")}`;
  throw new InputError("GOLDEN_SHAPE", { expected: wanted, got: showShape(shape), where });
}

/** Token ids; labels may also be -100, "not trained". */
async function integers(file: SafetensorsFile, key: string, vocabSize: number): Promise<Int32Array> {
  shapeOf(file, key);
  const { dtype, bytes } = await file.load(key);
  const where = `${file.name}, ${key}`;
  if (dtype !== "I64" && dtype !== "I32") {
    throw new InputError("GOLDEN_VALUE", { expected: "I64 or I32", got: dtype, where });
  }
  const values = Array.from<number | bigint, number>(
    dtype === "I64" ? new BigInt64Array(bytes.buffer) : new Int32Array(bytes.buffer),
    Number,
  );
  const wrong = values.find((id) => (id < 0 && !(key === "labels" && id === -100)) || id >= vocabSize);
  if (wrong === undefined) return Int32Array.from(values);
  throw new InputError("GOLDEN_VALUE", { expected: `ids from 0 to ${vocabSize - 1}`, got: String(wrong), where });
}

const losses = z.array(z.number()).min(1).optional();
const curveSchema = z.looseObject({ curves: z.looseObject({ align: losses, instruct: losses }).default({}) });

/** The curves, none where no such file lies. */
async function readCurves(path: string): Promise<Curves> {
  const json = await readJsonFile(path).catch((error: unknown) => {
    if (error instanceof InputError && error.code === "FILE_MISSING") return {};
    throw error;
  });
  const result = curveSchema.safeParse(json);
  if (result.success) return result.data.curves;
  const issue = result.error.issues[0]!;
  throw new InputError("GOLDEN_VALUE", {
    expected: issue.message,
    got: `at ${issue.path.join(".") || "the top"}`,
    where: path,
  });
}
