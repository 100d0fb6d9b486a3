// A tiny language model in blocks: its files below a folder of the test's own, and what its weights are after rounding.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packRows, unpackRows } from "../formats/nbits.ts";
import { float16ToFloat32, float32ToFloat16 } from "../formats/half.ts";
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName, headName } from "../models/llama.ts";
import { memoryWeights, type PartWeights } from "../models/weights.ts";
import { blockForms } from "./block-graph.ts";
import { type BlockSource, openBlocks } from "./block-files-node.ts";

/** A folder that stands for a model's files, and a cache of blocks that no other test shares. */
export function blockFolders() {
  const root = mkdtempSync(join(tmpdir(), "blocks-"));
  const before = process.env["LLAVA_CACHE"];
  process.env["LLAVA_CACHE"] = join(root, "cache");
  let models = 0;
  return {
    cache: join(root, "cache", "blocks"),
    open: async (config: LanguageConfig, weights: PartWeights, form: BlockSource["form"]) => {
      const file = join(root, `model-${models++}.safetensors`);
      writeFileSync(file, "stands for the weights");
      const source: BlockSource = { config, weights, form, folders: [file] };
      return { source, model: await openBlocks(source) };
    },
    remove: () => {
      if (before === undefined) delete process.env["LLAVA_CACHE"];
      else process.env["LLAVA_CACHE"] = before;
      rmSync(root, { recursive: true });
    },
  };
}

/** The weights as blocks stand for them; the embedding in float16, where it is not the output matrix. */
export async function rounded(
  config: LanguageConfig,
  weights: PartWeights,
  form: BlockSource["form"],
): Promise<{ readonly weights: PartWeights; readonly embedding: Float32Array }> {
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, shape] of weights.shapes) {
    const data = await weights.load(name);
    const [rows, columns] = shape as readonly [number, number];
    const bits = name === headName(config) ? blockForms[form].head : blockForms[form].layers;
    const isMatrix = shape.length === 2 && (name !== embeddingName || config.tied);
    tensors.set(name, {
      shape,
      data: isMatrix ? unpackRows(packRows(data, rows, columns, bits), rows, columns, bits) : data,
    });
  }
  return {
    weights: memoryWeights(tensors),
    embedding: float16ToFloat32(float32ToFloat16(await weights.load(embeddingName))),
  };
}
