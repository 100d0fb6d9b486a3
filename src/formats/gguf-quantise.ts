// float32 → the blocks of GGUF types that we write; gguf-dequantise.ts is the way back.
import { blockLayout } from "./gguf-types.ts";
import { float16Table, float32ToBfloat16, float32ToFloat16 } from "./half.ts";
import { encodeQ4K } from "./gguf-quantise-k.ts";

export const writtenGgufTypes = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K"] as const;
export type WrittenGgufType = (typeof writtenGgufTypes)[number];

/** The bytes of a tensor; quantised types need whole blocks of values. Rounds to nearest; the scales are float16. */
export function encodeBlocks(type: WrittenGgufType, values: Float32Array): Uint8Array {
  if (type === "F32") return bytesOf(values);
  if (type === "F16") return bytesOf(float32ToFloat16(values));
  if (type === "BF16") return bytesOf(float32ToBfloat16(values));
  const { blockElements, blockBytes } = blockLayout(type);
  const out = new Uint8Array((values.length / blockElements) * blockBytes);
  if (type === "Q8_0") encodeQ80(values, out);
  else if (type === "Q4_0") encodeQ40(values, out);
  else encodeQ4K(values, out);
  return out;
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** 32 weights: the largest magnitude becomes ±127 */
function encodeQ80(values: Float32Array, out: Uint8Array): void {
  const scales = blockScales(values, (block) => largest(block).magnitude / 127);
  for (let block = 0, p = 0, o = 0; block < scales.bits.length; block++, p += 34, o += 32) {
    putScale(out, p, scales.bits[block]!);
    const inverse = inverseOf(scales.values[block]!);
    for (let i = 0; i < 32; i++) out[p + 2 + i] = clamp(Math.round(values[o + i]! * inverse), -127, 127);
  }
}

/** 32 weights: the value of largest magnitude becomes code 0, that is −8 scales; the scale may be negative */
function encodeQ40(values: Float32Array, out: Uint8Array): void {
  const scales = blockScales(values, (block) => largest(block).value / -8);
  for (let block = 0, p = 0, o = 0; block < scales.bits.length; block++, p += 18, o += 32) {
    putScale(out, p, scales.bits[block]!);
    const inverse = inverseOf(scales.values[block]!);
    const code = (i: number): number => clamp(Math.round(values[o + i]! * inverse) + 8, 0, 15);
    for (let i = 0; i < 16; i++) out[p + 2 + i] = code(i) | (code(16 + i) << 4);
  }
}

/** A float16 scale for each 32 values, with what it is worth once rounded: codes are chosen for that. */
function blockScales(
  values: Float32Array,
  scaleOf: (block: Float32Array) => number,
): { readonly bits: Uint16Array; readonly values: Float32Array } {
  const exact = Float32Array.from({ length: values.length / 32 }, (_, i) =>
    scaleOf(values.subarray(32 * i, 32 * i + 32)),
  );
  const bits = float32ToFloat16(exact);
  const half = float16Table();
  return { bits, values: Float32Array.from(bits, (pattern) => half[pattern]!) };
}

function largest(block: Float32Array): { readonly value: number; readonly magnitude: number } {
  let value = 0;
  for (const x of block) if (Math.abs(x) > Math.abs(value)) value = x;
  return { value, magnitude: Math.abs(value) };
}

function putScale(out: Uint8Array, at: number, bits: number): void {
  out[at] = bits & 255;
  out[at + 1] = bits >> 8;
}

const inverseOf = (scale: number): number => (scale === 0 ? 0 : 1 / scale);
const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, x));
