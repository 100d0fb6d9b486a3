// Float16 and bfloat16 bit patterns ⇄ float32, whole arrays at a time, rounding to nearest even (IEEE 754-2019 §4.3.1).

let table: Float32Array | undefined;

/** The float32 value of each of the 65,536 float16 bit patterns; built once, 256 KiB. Not to be written to. */
export function float16Table(): Float32Array {
  if (table !== undefined) return table;
  table = new Float32Array(65536);
  const bits = new Uint32Array(table.buffer);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 31;
    const mantissa = half & 1023;
    if (exponent === 0) table[half] = (sign === 0 ? mantissa : -mantissa) * 2 ** -24;
    else if (exponent === 31) bits[half] = sign | 0x7f800000 | (mantissa << 13);
    else bits[half] = sign | ((exponent + 112) << 23) | (mantissa << 13);
  }
  return table;
}

/** The float32 values of float16 bit patterns; exact, NaN payloads kept. */
export function float16ToFloat32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  // copied as integers: a float register may quieten a signalling NaN
  const lookup = new Uint32Array(float16Table().buffer);
  const out = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = lookup[halves[i]!]!;
  return new Float32Array(out.buffer);
}

/** The nearest float16 bit patterns (ties to even); beyond ±65,520 infinite, NaN stays NaN. */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const sign = (x >>> 16) & 0x8000;
    const magnitude = x & 0x7fffffff;
    if (magnitude >= 0x47800000) out[i] = sign | overflowing(magnitude);
    else if (magnitude < 0x38800000) out[i] = sign | subnormal(magnitude);
    // re-bias the exponent from 127 to 15, add half a unit (less one when even), drop 13 bits
    else out[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  return out;
}

/** float16 bits of a magnitude of at least 65,536: infinity, or a quiet NaN with the upper payload bits */
function overflowing(magnitude: number): number {
  return magnitude > 0x7f800000 ? 0x7e00 | ((magnitude >>> 13) & 0x3ff) : 0x7c00;
}

/** float16 bits of a magnitude below 2^-14: a count of 2^-24, rounded to nearest even */
function subnormal(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return 0;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const whole = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (whole & 1) === 1) ? whole + 1 : whole;
}

/** The float32 values of bfloat16 bit patterns; exact. */
export function bfloat16ToFloat32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = halves[i]! << 16;
  return new Float32Array(out.buffer);
}

/** The nearest bfloat16 bit patterns (ties to even); NaN stays NaN. */
export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const isNaN = (x & 0x7fffffff) > 0x7f800000;
    out[i] = isNaN ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}
