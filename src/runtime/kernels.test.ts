// Every loop against its definition; AdamW against PyTorch; the vector forms against the plain ones.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Arrays, DType, Shape } from "../graph/tensor.ts";
import { type AdamWOptions, adamwConstants } from "./adamw-constants.ts";
import type { EngineBuffer } from "./engine.ts";
import { checkCall } from "./kernel-checks.ts";
import type { ArrayOf, KernelCall } from "./kernel-calls.ts";
import { runKernel } from "./kernels.ts";
import { plainLoops } from "./loops.ts";
import { createPool, loopsFor } from "./pool.ts";

/** Buffers over arrays that the test keeps. */
const arrays = new Map<number, Arrays[DType]>();
function lay<D extends DType = "float32">(
  data: Arrays[D],
  shape: Shape = [data.length],
  dtype = "float32" as D,
): EngineBuffer<D> {
  const id = arrays.size;
  arrays.set(id, data);
  return { id, dtype, shape, offset: 0 };
}
const arrayOf = (({ id }) => arrays.get(id)) as ArrayOf;
const ids = (...values: number[]): EngineBuffer<"int32"> => lay(Int32Array.from(values), [values.length], "int32");
function call(kernel: KernelCall): void {
  checkCall(kernel);
  runKernel(kernel, arrayOf);
}

const finite = fc.float({ noNaN: true, min: -100, max: 100 });
const options: AdamWOptions = {
  step: 1,
  learningRate: 1e-2,
  beta1: 0.9,
  beta2: 0.95,
  epsilon: 1e-8,
  weightDecay: 0.1,
  scale: 0.5,
};

describe("adamw", () => {
  // torch 2.13, AdamW(lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, foreach=False), gradients halved
  const gradients = [
    [0.1, -3, 1e-4, 0, 7],
    [-0.2, 1, 1e-4, 2, -7],
    [5, 0.25, -1e-3, 1e-6, 0.5],
  ];
  const expected = [
    [0.9890000224113464, -1.9880000352859497, 0.4895020127296448, 0.0002997000119648874, 99.88999938964844],
    [0.9916447997093201, -1.9819689989089966, 0.47901451587677, -0.007050199434161186, 99.79063415527344],
    [0.9845500588417053, -1.9773476123809814, 0.483654648065567, -0.012797873467206955, 99.69092559814453],
  ];
  const moments = {
    m: [0.24505001306533813, -0.06400001049041748, -4.1450006392551586e-5, 0.09000004827976227, -0.006500003859400749],
    v: [0.3130878210067749, 0.11418750882148743, 1.2731563359125175e-8, 0.04749999940395355, 1.1377812623977661],
  };

  it.each(["plain memory", "a pool"])("steps as PyTorch does, in %s", (where) => {
    const pool = createPool("test", 4096);
    const of = (k: number): Float32Array =>
      where === "a pool" ? new Float32Array(pool, 64 * k + 4, 5) : new Float32Array(5);
    const [p, g, m, v] = [of(0), of(1), of(2), of(3)];
    p.set([1, -2, 0.5, 3e-4, 100]);
    const [parameter, gradient] = [lay(p), lay(g)];
    const state = { m: lay(m), v: lay(v) };
    gradients.forEach((values, i) => {
      g.set(values);
      call({ kernel: "adamw", parameter, gradient, ...state, ...options, step: i + 1 });
      p.forEach((x, k) => expect(Math.abs(x - expected[i]![k]!)).toBeLessThan(2e-7 * Math.max(0.1, Math.abs(x))));
    });
    m.forEach((x, k) => expect(Math.abs(x - moments.m[k]!)).toBeLessThan(1e-6 * Math.max(0.01, Math.abs(x))));
    v.forEach((x, k) => expect(Math.abs(x - moments.v[k]!)).toBeLessThan(1e-6 * x));
  });

  it("gives the same bits in a pool, staged and plain, at any length and offset", () => {
    const pool = createPool("test", 2 ** 20);
    const vectors = fc.array(fc.tuple(finite, finite, finite, fc.float({ noNaN: true, min: 0, max: 100 })), {
      minLength: 1,
      maxLength: 70,
    });
    fc.assert(
      fc.property(vectors, fc.nat(9), fc.integer({ min: 1, max: 1000 }), (rows, offset, step) => {
        const constants = adamwConstants({ ...options, step });
        const make = (place: (k: number) => Float32Array) => {
          const columns = [0, 1, 2, 3].map((k) => place(k)) as [Float32Array, Float32Array, Float32Array, Float32Array];
          columns.forEach((column, k) => column.set(rows.map((row) => row[k]!)));
          return columns;
        };
        const plain = make(() => new Float32Array(rows.length));
        const staged = make(() => new Float32Array(rows.length));
        const pooled = make((k) => new Float32Array(pool, 4 * (k * 100 + offset), rows.length));
        plainLoops.adamw(...plain, constants);
        expect(loopsFor(...pooled)).not.toBe(loopsFor(...staged));
        loopsFor(...pooled).adamw(...pooled, constants);
        loopsFor(...staged).adamw(...staged, constants);
        expect(pooled).toEqual(plain);
        expect(staged).toEqual(plain);
      }),
    );
  });

  it.each([8192, 8193, 20_001, (1 << 18) + 5])("gives the same bits over chunks: %i elements", (n) => {
    const pool = createPool("test", 16 * n + 64);
    const make = (place: (k: number) => Float32Array) =>
      [0, 1, 2, 3].map((k) => place(k).map((_, i) => ((i * 7 + k * 13) % 101) / 50)) as [
        Float32Array,
        Float32Array,
        Float32Array,
        Float32Array,
      ];
    const columns = {
      plain: make(() => new Float32Array(n)),
      staged: make(() => new Float32Array(n)),
      pooled: [0, 1, 2, 3].map((k) => new Float32Array(pool, 4 * k * n, n)) as ReturnType<typeof make>,
    };
    columns.pooled.forEach((column, k) => column.set(columns.plain[k]!));
    const constants = adamwConstants(options);
    plainLoops.adamw(...columns.plain, constants);
    plainLoops.addScaled(columns.plain[0], columns.plain[1], 0.3);
    for (const some of [columns.staged, columns.pooled]) {
      const loops = loopsFor(...some);
      loops.adamw(...some, constants);
      loops.addScaled(some[0], some[1], 0.3);
      some.forEach((column, k) =>
        expect(
          Buffer.from(column.buffer, column.byteOffset, column.byteLength).equals(
            Buffer.from(columns.plain[k]!.buffer),
          ),
        ).toBe(true),
      );
      expect(loops.sumSquares(some[0])).toBeCloseTo(plainLoops.sumSquares(columns.plain[0]), 6);
    }
  });

  it("leaves its neighbours in the pool alone", () => {
    const pool = createPool("test", 4096);
    const all = new Float32Array(pool).fill(1);
    const part = (k: number): Float32Array => all.subarray(k * 100 + 10, k * 100 + 10 + 37);
    loopsFor(all).adamw(part(0), part(1), part(2), part(3), adamwConstants(options));
    const changed = [...all.keys()].filter((i) => all[i] !== 1);
    expect(changed.every((i) => i % 100 >= 10 && i % 100 < 47 && i < 400)).toBe(true);
    expect(changed.length).toBeGreaterThan(37);
  });
});

describe("sumSquares", () => {
  it("sums in float64 over buffers in and outside pools", () => {
    const pool = createPool("test", 2 ** 20);
    fc.assert(
      fc.property(fc.array(fc.array(finite, { maxLength: 40 }), { maxLength: 4 }), fc.nat(5), (lists, offset) => {
        const of = lists.map((list, k) => {
          const array =
            k % 2 === 0 ? new Float32Array(pool, 4 * (100 * k + offset), list.length) : new Float32Array(list.length);
          array.set(list);
          return lay(array);
        });
        const into = new Float32Array(1);
        call({ kernel: "sumSquares", of, into: lay(into) });
        const exact = lists.flat().reduce((sum, x) => sum + x * x, 0);
        expect(into[0]).toBeCloseTo(Math.fround(exact), -Math.log10(Math.max(1e-6, exact * 2e-7)));
      }),
    );
  });

  it("does not lose small terms, and shows any element that is not finite", () => {
    const pool = createPool("test", 2 ** 24);
    const x = new Float32Array(pool, 0, 1_000_003).fill(1e-3);
    x[0] = 1000;
    const into = new Float32Array(1);
    const sum = (): number => (call({ kernel: "sumSquares", of: [lay(x)], into: lay(into) }), into[0]!);
    expect(sum()).toBeCloseTo(1_000_001, 0);
    for (const [at, bad] of [
      [17, NaN],
      [500_000, Infinity],
      [1_000_002, -Infinity],
    ] as const) {
      const good = x[at]!;
      x[at] = bad;
      expect(Number.isFinite(sum())).toBe(false);
      x[at] = good;
    }
    expect(Number.isFinite(sum())).toBe(true);
  });
});

describe("element-wise loops", () => {
  it("fill, scale and add", () => {
    const [a, b, c] = [new Float32Array(3), Float32Array.of(1, 2, 3), new BigInt64Array(2)];
    call({ kernel: "fill", buffer: lay(a), value: 2 });
    call({ kernel: "fill", buffer: lay(c, [2], "int64"), value: -1 });
    call({ kernel: "scale", buffer: lay(a), factor: 0.5 });
    call({ kernel: "addInto", into: lay(a), from: lay(b) });
    call({ kernel: "addInto", into: lay(a), from: lay(b), factor: -2 });
    expect([...a, ...c]).toEqual([0, -1, -2, -1n, -1n]);
  });
});

describe("rows", () => {
  const [V, D] = [5, 37];
  const setting = fc.record({
    ids: fc.array(fc.integer({ min: -2, max: V - 1 }), { maxLength: 12 }),
    transposed: fc.boolean(),
    accumulate: fc.boolean(),
    factor: fc.constantFrom(1, -0.5),
  });
  const start = (id: number, d: number): number => 1 + id * 100 + d;
  const tableOf = (transposed: boolean): Float32Array =>
    Float32Array.from({ length: V * D }, (_, i) =>
      transposed ? start(i % V, Math.floor(i / V)) : start(Math.floor(i / D), i % D),
    );

  it("are gathered, replaced or added, from either layout", () => {
    fc.assert(
      fc.property(setting, ({ ids: list, transposed, accumulate, factor }) => {
        const rows = new Float32Array(list.length * D).fill(7);
        const table = lay(tableOf(transposed), transposed ? [D, V] : [V, D]);
        call({ kernel: "gatherRows", table, ids: ids(...list), into: lay(rows), transposed, accumulate, factor });
        const expected = list.flatMap((id) =>
          Array.from({ length: D }, (_, d) => (id < 0 ? 7 : factor * start(id, d) + (accumulate ? 7 : 0))),
        );
        expect([...rows]).toEqual(expected);
      }),
    );
  });

  it("are replaced even where NaN stood", () => {
    const rows = new Float32Array(2).fill(NaN);
    call({ kernel: "gatherRows", table: lay(Float32Array.of(1, 2), [1, 2]), ids: ids(0), into: lay(rows) });
    expect([...rows]).toEqual([1, 2]);
  });

  it("are added to a table in either layout, repeated ids too", () => {
    fc.assert(
      fc.property(setting, ({ ids: list, transposed, factor }) => {
        const data = tableOf(transposed);
        const from = Float32Array.from({ length: list.length * D }, (_, i) => i);
        const table = lay(data, transposed ? [D, V] : [V, D]);
        call({ kernel: "scatterAddRows", table, ids: ids(...list), from: lay(from), transposed, factor });
        for (let id = 0; id < V; id++) {
          for (let d = 0; d < D; d++) {
            const added = list.reduce((sum, other, n) => sum + (other === id ? factor * (n * D + d) : 0), 0);
            expect(data[transposed ? d * V + id : id * D + d]).toBe(start(id, d) + added);
          }
        }
      }),
    );
  });

  it("take one entry each with addAt", () => {
    const matrix = new Float32Array(6);
    call({ kernel: "addAt", into: lay(matrix, [3, 2]), ids: ids(1, -100, 0), value: -1 });
    expect([...matrix]).toEqual([0, -1, 0, 0, -1, 0]);
  });

  it("refuse an id beyond the table before anything is written", () => {
    const rows = new Float32Array(4);
    const table = lay(new Float32Array(4).fill(1), [2, 2]);
    expect(() => call({ kernel: "gatherRows", table, ids: ids(0, 2), into: lay(rows) })).toThrow(
      "expected ids below 2, got 2 (gatherRows, ids[1])",
    );
    expect([...rows]).toEqual([0, 0, 0, 0]);
  });
});

describe("copyBlocks", () => {
  it("moves strided runs: a new row a head into a cache", () => {
    const cache = new Float32Array(2 * 3 * 2);
    const rows = Float32Array.of(1, 2, 3, 4);
    call({
      kernel: "copyBlocks",
      from: lay(rows),
      into: lay(cache),
      blocks: 2,
      length: 2,
      fromStride: 2,
      intoStride: 6,
      intoOffset: 2,
    });
    expect([...cache]).toEqual([0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 0, 0]);
  });

  it("refuses runs that leave a buffer, and other dtypes", () => {
    const [a, b] = [lay(new Float32Array(4)), lay(new Float32Array(4))];
    const base = {
      kernel: "copyBlocks",
      from: a,
      into: b,
      blocks: 2,
      length: 2,
      fromStride: 2,
      intoStride: 2,
    } as const;
    const code = expect.objectContaining({ code: "KERNEL_ARGUMENT" });
    expect(() => checkCall(base)).not.toThrow();
    expect(() => checkCall({ ...base, intoOffset: 1 })).toThrow(code);
    expect(() => checkCall({ ...base, fromStride: 3 })).toThrow(code);
    expect(() => checkCall({ ...base, blocks: -1 })).toThrow(code);
    expect(() => checkCall({ ...base, from: ids(1, 2, 3, 4) })).toThrow(code);
  });
});

describe("checkCall", () => {
  const [three, four] = [lay(new Float32Array(3)), lay(new Float32Array(4))];
  const wrong: readonly KernelCall[] = [
    { kernel: "adamw", parameter: three, gradient: four, m: three, v: three, ...options },
    { kernel: "adamw", parameter: three, gradient: three, m: three, v: three, ...options, step: 0 },
    { kernel: "sumSquares", of: [three], into: three },
    { kernel: "scale", buffer: ids(1) as never, factor: 2 },
    { kernel: "gatherRows", table: three, ids: ids(0), into: three },
    { kernel: "gatherRows", table: { ...four, shape: [2, 2] }, ids: ids(0), into: three },
    { kernel: "scatterAddRows", table: { ...four, shape: [2, 2] }, ids: three as never, from: four },
    { kernel: "addAt", into: { ...four, shape: [2, 2] }, ids: ids(0), value: 1 },
  ];
  it.each(wrong.map((call, i) => [`${call.kernel} ${i}`, call] as const))(
    "refuses what does not fit: %s",
    (_, call) => {
      expect(() => checkCall(call)).toThrow(expect.objectContaining({ code: "KERNEL_ARGUMENT" }));
    },
  );
});
