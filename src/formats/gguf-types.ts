// The element types of GGUF tensors: elements and bytes of one block (ggml.h `ggml_type`, ggml-common.h).

/** `[id, elements per block, bytes per block]`; all have a known size, gguf-dequantise.ts says which we can compute with. */
const types = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 40],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  Q8_K: [15, 256, 292],
  IQ2_XXS: [16, 256, 66],
  IQ2_XS: [17, 256, 74],
  IQ3_XXS: [18, 256, 98],
  IQ1_S: [19, 256, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110],
  IQ2_S: [22, 256, 82],
  IQ4_XS: [23, 256, 136],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  IQ1_M: [29, 256, 56],
  BF16: [30, 1, 2],
  TQ1_0: [34, 256, 54],
  TQ2_0: [35, 256, 66],
  MXFP4: [39, 32, 17],
} as const;
export type GgufType = keyof typeof types;

export interface BlockLayout {
  readonly type: GgufType;
  readonly blockElements: number;
  readonly blockBytes: number;
}

export function blockLayout(type: GgufType): BlockLayout {
  const [, blockElements, blockBytes] = types[type];
  return { type, blockElements, blockBytes };
}

/** The number that stands for a type in a file. */
export const typeId = (type: GgufType): number => types[type][0];

const byId: ReadonlyMap<number, BlockLayout> = new Map(
  (Object.keys(types) as GgufType[]).map((type) => [types[type][0], blockLayout(type)]),
);

/** The layout for a type number as it stands in a file; undefined for numbers that ggml has dropped or added since. */
export function layoutById(id: number): BlockLayout | undefined {
  return byId.get(id);
}
