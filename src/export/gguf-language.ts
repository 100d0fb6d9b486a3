// The language model as llama.cpp reads it: keys and tensors of the architectures `llama` and `qwen2`.
import { permuteRows } from "../formats/gguf-rope.ts";
import type { WrittenGgufType } from "../formats/gguf-quantise.ts";
import type { GgufEntry, GgufField } from "../formats/gguf-write.ts";
import { blockLayout } from "../formats/gguf-types.ts";
import type { Shape } from "../graph/tensor.ts";
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName } from "../models/llama.ts";
import { ggufName } from "../models/names.ts";
import type { PartWeights } from "../models/weights.ts";

/** `general.file_type`: what most matrices are (llama.h, `llama_ftype`). */
export const fileTypes: Readonly<Record<WrittenGgufType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  Q4_K: 14,
  BF16: 32,
};

/** Keys of the model itself. A sliding window, which `llama` has not, bounds the context: within it nothing differs. */
export function languageFields(c: LanguageConfig, name: string, type: WrittenGgufType): Map<string, GgufField> {
  const architecture = c.family === "qwen2" ? "qwen2" : "llama";
  const number = (value: number): GgufField => ({ type: "uint32", value });
  const real = (value: number): GgufField => ({ type: "float32", value });
  const own: Readonly<Record<string, GgufField>> = {
    block_count: number(c.layers),
    context_length: number(Math.min(c.maxPositions, c.slidingWindow ?? Infinity)),
    embedding_length: number(c.hiddenSize),
    feed_forward_length: number(c.intermediateSize),
    "attention.head_count": number(c.heads),
    "attention.head_count_kv": number(c.keyValueHeads),
    "attention.key_length": number(c.headSize),
    "attention.value_length": number(c.headSize),
    "attention.layer_norm_rms_epsilon": real(c.rmsNormEpsilon),
    "rope.dimension_count": number(c.headSize),
    "rope.freq_base": real(c.ropeBase),
    vocab_size: number(c.vocabSize),
  };
  return new Map<string, GgufField>([
    ["general.architecture", { type: "string", value: architecture }],
    ["general.type", { type: "string", value: "model" }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", number(fileTypes[type])],
    ["general.quantization_version", number(2)],
    ...Object.entries(own).map(([key, field]) => [`${architecture}.${key}`, field] as const),
  ]);
}

/** Tensors in llama.cpp's names and row order. */
export function languageEntries(c: LanguageConfig, weights: PartWeights, type: WrittenGgufType): GgufEntry[] {
  return [...weights.shapes].map(([name, shape]) => ({
    name: ggufName(name),
    type: typeOf(name, shape, type),
    shape,
    data: async () => permuted(name, await weights.load(name), c),
  }));
}

/**
 * Vectors stay float32. Embedding and output matrix get eight bits where others get four: every token passes them, and
 * llama.cpp's own mixtures keep them finer too. Rows that blocks do not divide get the next type that fits.
 */
function typeOf(name: string, shape: Shape, type: WrittenGgufType): WrittenGgufType {
  if (shape.length < 2) return "F32";
  const fine = name === embeddingName || name === "lm_head.weight";
  const wanted: WrittenGgufType = fine && (type === "Q4_0" || type === "Q4_K") ? "Q8_0" : type;
  const fits = (one: WrittenGgufType): boolean => shape.at(-1)! % blockLayout(one).blockElements === 0;
  return [wanted, "Q8_0" as const, "F16" as const].find(fits)!;
}

/** The `llama` architecture turns neighbouring pairs of rows where Hugging Face turns halves; `qwen2` turns halves too. */
function permuted(name: string, data: Float32Array, c: LanguageConfig): Float32Array {
  const match = /self_attn\.([qk])_proj\.(weight|bias)$/.exec(name);
  if (!match || c.family === "qwen2") return data;
  const heads = match[1] === "q" ? c.heads : c.keyValueHeads;
  const rows = heads * c.headSize;
  return permuteRows(data, rows, data.length / rows, heads);
}
