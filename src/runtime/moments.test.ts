// Moments in 8 bits: the vector form equals the plain one bit for bit, and both stay close to AdamW in float32.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AdamWOptions, adamwConstants } from "./adamw-constants.ts";
import { plainLoops } from "./loops.ts";
import { adamw8bit, momentBlock, type Moments } from "./moments.ts";
import { createPool, loopsFor } from "./pool.ts";

const options: AdamWOptions = {
  ...{ step: 1, learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, scale: 1 },
};

interface Weight extends Moments {
  readonly p: Float32Array;
  readonly g: Float32Array;
}

function allocate(n: number, pool?: ArrayBuffer, offset = 0): Weight {
  const blocks = Math.ceil(n / momentBlock);
  let at = offset;
  const floats = (size: number): Float32Array => {
    const start = Math.ceil(at / 4) * 4;
    at = start + 4 * size;
    return pool ? new Float32Array(pool, start, size) : new Float32Array(size);
  };
  const bytes = (): Uint8Array => {
    const start = at;
    at += n;
    return pool ? new Uint8Array(pool, start, n) : new Uint8Array(n);
  };
  return { p: floats(n), g: floats(n), scales: floats(2 * blocks), m: bytes(), v: bytes() };
}

/** Normally distributed, each weight with a size of its own over `decades`. */
function gradients(n: number, step: number, decades: number): Float32Array {
  let state = (step * 2654435761) | 1;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length: n }, (_, i) => {
    const normal = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return normal * 10 ** (-decades * ((i * 0.618) % 1));
  });
}

describe("adamw8bit", () => {
  it("gives the same bits in a pool and plain, at any length and offset, over several steps", () => {
    const pool = createPool("test", 2 ** 20);
    const lengths = fc.oneof(fc.integer({ min: 1, max: 1100 }), fc.constantFrom(256, 512, 5 * 256 + 3));
    fc.assert(
      fc.property(lengths, fc.nat(70), fc.integer({ min: 1, max: 2 ** 31 - 9 }), (n, offset, first) => {
        const [plain, pooled] = [allocate(n), allocate(n, pool, offset)];
        for (const array of [pooled.m, pooled.v, pooled.scales]) array.fill(0);
        plain.p.forEach((_, i) => (plain.p[i] = pooled.p[i] = Math.sin(i)));
        for (let step = first; step < first + 3; step++) {
          const constants = adamwConstants({ ...options, step: (step % 1000) + 1 });
          for (const weight of [plain, pooled]) weight.g.set(gradients(n, step, 6));
          adamw8bit(plain.p, plain.g, plain, constants, step);
          loopsFor(...Object.values(pooled)).adamw8bit(pooled.p, pooled.g, pooled, constants, step);
        }
        const columns = ({ p, m, v, scales }: Weight) => [p, m, v, scales].map((column) => [...column]);
        expect(columns(pooled)).toEqual(columns(plain));
      }),
      { numRuns: 40 },
    );
  });

  it("gives the same bits over more elements than one call takes", () => {
    const n = (1 << 18) + 700;
    const [plain, pooled] = [allocate(n), allocate(n, createPool("test", 16 * n))];
    for (const weight of [plain, pooled]) weight.g.set(gradients(n, 1, 3));
    const constants = adamwConstants(options);
    adamw8bit(plain.p, plain.g, plain, constants, 1);
    loopsFor(pooled.p, pooled.m).adamw8bit(pooled.p, pooled.g, pooled, constants, 1);
    for (const key of ["p", "m", "v", "scales"] as const) {
      expect(Buffer.from(pooled[key].buffer, pooled[key].byteOffset, pooled[key].byteLength)).toEqual(
        Buffer.from(plain[key].buffer),
      );
    }
  });

  it("stays near AdamW in float32 over many steps, and takes no step much larger than AdamW's largest", () => {
    const n = 2048;
    const small = allocate(n);
    const exact = { p: new Float32Array(n), m: new Float32Array(n), v: new Float32Array(n) };
    let [difference, length, dot] = [0, 0, 0];
    for (let step = 1; step <= 300; step++) {
      const g = gradients(n, step, 4).map((x, i) => x + 0.3 * 10 ** (-4 * ((i * 0.618) % 1)));
      const constants = adamwConstants({ ...options, step, weightDecay: 0 });
      const before = [small.p.slice(), exact.p.slice()] as const;
      adamw8bit(small.p, g, small, constants, step);
      plainLoops.adamw(exact.p, g, exact.m, exact.v, constants);
      for (let i = 0; i < n; i++) {
        const [ours, theirs] = [small.p[i]! - before[0][i]!, exact.p[i]! - before[1][i]!];
        expect(Math.abs(ours)).toBeLessThan(8 * options.learningRate);
        difference += (ours - theirs) ** 2;
        length += theirs ** 2;
        dot += ours * theirs;
      }
    }
    expect(Math.sqrt(difference / length)).toBeLessThan(0.15);
    expect(dot / length).toBeGreaterThan(0.98);
    // where the weights end: all that was rounded away or up has averaged out
    const ends =
      exact.p.reduce((sum, x, i) => sum + (small.p[i]! - x) ** 2, 0) / exact.p.reduce((s, x) => s + x * x, 0);
    expect(Math.sqrt(ends)).toBeLessThan(0.1);
  });

  it("lets the second moment fade: rounded to the nearest it would stay for ever", () => {
    const weight = allocate(512);
    const step = (g: Float32Array, k: number) =>
      adamw8bit(weight.p, g, weight, adamwConstants({ ...options, step: k }), k);
    // one element keeps the block's scale, the others stop
    step(new Float32Array(512).fill(1), 1);
    const still = new Float32Array(512);
    still[0] = still[256] = 1;
    for (let k = 2; k <= 1000; k++) step(still, k);
    const v = [...weight.v.keys()].map((i) => {
      const at = 2 * Math.floor(i / 256) + 1;
      const code = weight.v[i]!;
      return (1 + (code % 8) / 8) * 2 ** ((code >> 3) - 31) * weight.scales[at]!;
    });
    const rest = v.filter((_, i) => i % 256 !== 0);
    const mean = rest.reduce((sum, x) => sum + x, 0) / rest.length;
    expect(mean / (1e-3 * 0.999 ** 999)).toBeGreaterThan(0.95);
    expect(mean / (1e-3 * 0.999 ** 999)).toBeLessThan(1.05);
  });

  it("keeps nothing of gradients of zero, and stays finite at either end of float32", () => {
    for (const size of [0, 1e-38, 1e-25, 1e15]) {
      const weight = allocate(300);
      weight.p.fill(1);
      for (let k = 1; k <= 3; k++) {
        weight.g.fill(size);
        adamw8bit(weight.p, weight.g, weight, adamwConstants({ ...options, weightDecay: 0, step: k }), k);
      }
      expect(weight.p.every((x) => Number.isFinite(x) && x <= 1 && x >= 0.95)).toBe(true);
      if (size === 0) expect([...weight.m, ...weight.v].every((code) => code === 0)).toBe(true);
    }
  });
});
