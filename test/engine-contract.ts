// What every engine must do; each implementation's test calls `engineContract`.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { add, cast, gather, matMul, multiply, reshape, softmax, transpose } from "../src/graph/build.ts";
import { constant, type Graph, graph, input } from "../src/graph/graph.ts";
import { arrayOf, type DType, floats, tensor, type Tensor } from "../src/graph/tensor.ts";
import { download, type Engine, upload, view } from "../src/runtime/engine.ts";

const x3 = input("x", "float32", [3]);
const doubling = graph("doubling", { y: add(x3, x3) });
const ints = (...values: number[]): Tensor<"int32"> => tensor("int32", [values.length], Int32Array.from(values));
const code = (expected: string): object => expect.objectContaining({ code: expected });

/** Runs a graph once on host tensors and returns all its outputs. */
async function evaluate(engine: Engine, graph: Graph, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const program = await engine.load(graph);
  const pass = engine.pass();
  const bind = (types: typeof program.inputs): Record<string, ReturnType<Engine["allocate"]>> =>
    Object.fromEntries(Object.entries(types).map(([name, { dtype, shape }]) => [name, engine.allocate(dtype, shape)]));
  const [from, to] = [bind(program.inputs), bind(program.outputs)];
  for (const [name, buffer] of Object.entries(from)) pass.write(buffer, inputs[name]!.data as never);
  pass.run(program, from, to);
  for (const [name, buffer] of Object.entries(to)) pass.read(name, buffer);
  const results = await pass.submit();
  for (const buffer of [...Object.values(from), ...Object.values(to)]) engine.free(buffer);
  await engine.unload(program);
  return results;
}

export function engineContract(name: string, create: () => Promise<Engine>): void {
  describe(name, () => {
    let engine: Engine;
    beforeAll(async () => void (engine = await create()));
    afterAll(() => engine.close());
    const get = (): Engine => engine;
    describe("values", () => values(get));
    describe("passes", () => passes(get));
    describe("memory", () => memory(get));
    describe("mistakes", () => mistakes(get));
    describe("closing", () => closing(create));
  });
}

function values(engine: () => Engine): void {
  it("computes several outputs, some used inside", async () => {
    const a = input("a", "float32", [2, 3]);
    const b = input("b", "float32", [3, 2]);
    const c = matMul(a, b);
    const { c: product, d } = await evaluate(engine(), graph("g", { c, d: multiply(c, 10) }), {
      a: floats([2, 3], [1, 2, 3, 4, 5, 6]),
      b: floats([3, 2], [1, 0, 0, 1, 1, 1]),
    });
    expect(product).toEqual(floats([2, 2], [4, 5, 10, 11]));
    expect(d).toEqual(floats([2, 2], [40, 50, 100, 110]));
  });

  it("fills outputs that are an input, a view of one, a constant, or one value twice", async () => {
    const x = input("x", "float32", [2, 2]);
    const y = add(x, 1);
    const g = graph("aliases", {
      x2: x,
      flat: reshape(x, [4]),
      turned: transpose(x, [1, 0]),
      k: constant(floats([2], [7, 8])),
      y,
      y2: y,
      seen: reshape(y, [4]),
    });
    const out = await evaluate(engine(), g, { x: floats([2, 2], [1, 2, 3, 4]) });
    const plain = Object.fromEntries(Object.entries(out).map(([key, { data }]) => [key, [...(data as Float32Array)]]));
    expect(plain).toEqual({
      x2: [1, 2, 3, 4],
      flat: [1, 2, 3, 4],
      turned: [1, 3, 2, 4],
      k: [7, 8],
      y: [2, 3, 4, 5],
      y2: [2, 3, 4, 5],
      seen: [2, 3, 4, 5],
    });
  });

  it.each(["float32", "float16", "int32", "int64", "uint8", "bool"] satisfies DType[])("carries %s", async (dtype) => {
    const x = input("x", dtype, [2, 2]);
    const data = arrayOf(dtype, 4);
    data.set((data instanceof BigInt64Array ? [1n, 0n, -5n, 2n ** 40n] : [1, 0, 1, 0]) as never);
    const { y } = await evaluate(engine(), graph("g", { y: transpose(x, [1, 0]) }), { x: tensor(dtype, [2, 2], data) });
    expect(y!.dtype).toBe(dtype);
    expect([...y!.data]).toEqual([data[0], data[2], data[1], data[3]]);
  });

  it("casts float16 and takes scalars and empty tensors", async () => {
    const h = input("h", "float16", [2]);
    const s = input("s", "float32", []);
    const e = input("e", "float32", [0, 3]);
    const out = await evaluate(engine(), graph("g", { f: cast(h, "float32"), t: add(s, 1), e2: multiply(e, 2) }), {
      h: tensor("float16", [2], Uint16Array.of(0x3c00, 0xc000)),
      s: floats([], [41]),
      e: floats([0, 3], []),
    });
    expect(out["f"]).toEqual(floats([2], [1, -2]));
    expect(out["t"]).toEqual(floats([], [42]));
    expect(out["e2"]!.data.length).toBe(0);
  });
}

function passes(engine: () => Engine): void {
  it("does everything in the order of the commands", async () => {
    const program = await engine().load(doubling);
    const [a, b] = [engine().allocate("float32", [3]), engine().allocate("float32", [3])];
    const result = await engine()
      .pass()
      .read("zeros", b)
      .write(a, Float32Array.of(1, 2, 3))
      .run(program, { x: a }, { y: b })
      .read("doubled", b)
      .run(program, { x: b }, { y: a })
      .call({ kernel: "scale", buffer: b, factor: -1 })
      .read("four", a)
      .read("negative", b)
      .submit();
    expect(result).toEqual({
      zeros: floats([3], [0, 0, 0]),
      doubled: floats([3], [2, 4, 6]),
      four: floats([3], [4, 8, 12]),
      negative: floats([3], [-2, -4, -6]),
    });
  });

  it("keeps the order of passes that are submitted without waiting", async () => {
    const program = await engine().load(doubling);
    const buffers = [await upload(engine(), floats([3], [1, 1, 1])), engine().allocate("float32", [3])] as const;
    const all = Array.from({ length: 10 }, (_, i) =>
      engine()
        .pass()
        .run(program, { x: buffers[i % 2]! }, { y: buffers[(i + 1) % 2]! })
        .read("y", buffers[(i + 1) % 2]!)
        .submit(),
    );
    const seen = (await Promise.all(all)).map(({ y }) => (y as Tensor<"float32">).data[0]);
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => 2 ** (i + 1)));
  });

  it("binds views with offsets, of one allocation on both sides", async () => {
    const program = await engine().load(doubling);
    const all = await upload(engine(), floats([10], [0, 1, 2, 3, 0, 0, 0, 0, 0, 9]));
    await engine()
      .pass()
      .run(program, { x: view(all, [3], 1) }, { y: view(view(all, [6], 4), [3, 1], 1) })
      .submit();
    expect([...(await download(engine(), all)).data]).toEqual([0, 1, 2, 3, 0, 2, 4, 6, 0, 9]);
  });

  it("leaves outputs that are not bound alone", async () => {
    const program = await engine().load(graph("two", { y: add(x3, x3), z: softmax(x3) }));
    const x = await upload(engine(), floats([3], [1, 2, 3]));
    const y = engine().allocate("float32", [3]);
    await engine().pass().run(program, { x }, { y }).submit();
    expect(await download(engine(), y)).toEqual(floats([3], [2, 4, 6]));
  });

  it("takes what is written as it is at that moment, and takes arrays over on request", async () => {
    const buffer = engine().allocate("float32", [3]);
    const data = Float32Array.of(1, 2, 3);
    const pass = engine().pass().write(buffer, data);
    data.fill(9);
    await pass.submit();
    expect(await download(engine(), buffer)).toEqual(floats([3], [1, 2, 3]));
    const large = engine().allocate("float32", [100_000]);
    await engine().pass().write(large, new Float32Array(100_000).fill(5), { transfer: true }).submit();
    expect((await download(engine(), large)).data.every((x) => x === 5)).toBe(true);
  });

  it("stops a pass at the first failure, keeps what came before, and goes on with the next", async () => {
    const table = input("table", "float32", [2, 1]);
    const ids = input("ids", "int64", [1]);
    const program = await engine().load(graph("picks", { row: gather(table, ids) }));
    const inputs = { table: engine().allocate("float32", [2, 1]), ids: engine().allocate("int64", [1]) };
    const row = engine().allocate("float32", [1, 1]);
    const mark = engine().allocate("float32", [1]);
    const failing = engine()
      .pass()
      .write(mark, Float32Array.of(1))
      .write(inputs.ids, BigInt64Array.of(5n))
      .run(program, inputs, { row })
      .write(mark, Float32Array.of(2))
      .submit();
    await expect(failing).rejects.toMatchObject({
      code: "ENGINE_RUN",
      exitCode: 1,
      message: expect.stringMatching(/out of.*bounds[^]*program picks[^]*table float32 \[2, 1\]/),
    });
    await expect(
      engine()
        .pass()
        .call({ kernel: "gatherRows", table: inputs.table, ids: await upload(engine(), ints(2)), into: row })
        .submit(),
    ).rejects.toEqual(code("KERNEL_ROW"));
    expect((await download(engine(), mark)).data[0]).toBe(1);
    await engine().pass().write(inputs.ids, BigInt64Array.of(1n)).run(program, inputs, { row }).submit();
  });

  it("says which graph cannot be compiled", async () => {
    const broken = {
      ...doubling,
      name: "broken",
      inputs: [{ name: "other", dtype: "float32", shape: [3] }],
    } satisfies Graph;
    await expect(engine().load(broken)).rejects.toMatchObject({
      code: "ENGINE_COMPILE",
      details: { where: "graph broken" },
    });
  });
}

function memory(engine: () => Engine): void {
  it("lays pool buffers side by side, feeds them to programs and frees them together", async () => {
    engine().reserve("weights", 3 * 64);
    const [a, b, c] = [1, 2, 3].map(() => engine().allocate("float32", [3], { pool: "weights" })) as [
      never,
      never,
      never,
    ];
    expect(() => engine().allocate("float32", [1], { pool: "weights" })).toThrow(code("ENGINE_MEMORY"));
    const program = await engine().load(doubling);
    await engine()
      .pass()
      .write(a, Float32Array.of(1, 2, 3))
      .run(program, { x: a }, { y: b })
      .run(program, { x: b }, { y: c })
      .submit();
    expect(await download(engine(), c)).toEqual(floats([3], [4, 8, 12]));
    expect(() => engine().free(a)).toThrow(code("ENGINE_POOL"));
    engine().releasePool("weights");
    expect(() => engine().pass().read("a", a)).toThrow(code("ENGINE_BUFFER"));
    engine().reserve("weights", 64);
    expect(
      (await download(engine(), engine().allocate("float32", [16], { pool: "weights" }))).data.every((x) => x === 0),
    ).toBe(true);
    engine().releasePool("weights");
  });

  it("refuses a pool beyond 4 GiB and reports memory that cannot be had when it is used", async () => {
    expect(() => engine().reserve("vast", 2 ** 32)).toThrow(code("ENGINE_MEMORY"));
    const vast = engine().allocate("float32", [2 ** 40]);
    await expect(engine().pass().call({ kernel: "fill", buffer: vast, value: 1 }).submit()).rejects.toEqual(
      code("ENGINE_MEMORY"),
    );
    engine().free(vast);
  });

  it("stays flat over thousands of runs", async () => {
    const x = input("x", "float32", [256, 256]);
    const program = await engine().load(graph("square", { y: matMul(x, x), z: softmax(x) }));
    const [a, y, z] = [1, 2, 3].map(() => engine().allocate("float32", [256, 256])) as [never, never, never];
    const rounds = async (n: number): Promise<number> => {
      for (let i = 0; i < n; i++) {
        const pass = engine().pass();
        for (let k = 0; k < 100; k++) pass.run(program, { x: a }, { y, z });
        await pass.read("y", y).submit();
      }
      return process.memoryUsage.rss();
    };
    const before = await rounds(10);
    // 3,000 runs make 1.5 GB of outputs: what was kept of them would show
    expect((await rounds(30)) - before).toBeLessThan(150e6);
  });
}

function mistakes(engine: () => Engine): void {
  it("names a binding that does not fit, before anything is sent", async () => {
    const program = await engine().load(doubling);
    const ok = engine().allocate("float32", [3]);
    const y = engine().allocate("float32", [3]);
    const run =
      (inputs: object, outputs: object): (() => unknown) =>
      () =>
        engine()
          .pass()
          .run(program, { ...inputs }, { ...outputs });
    expect(run({}, { y })).toThrow("expected input x, got nothing bound (doubling)");
    expect(run({ x: ok, w: ok }, { y })).toThrow("expected one of x, got w (input w of doubling)");
    expect(run({ x: engine().allocate("float32", [4]) }, { y })).toThrow(
      "expected float32 [3], got float32 [4] (input x of doubling)",
    );
    expect(run({ x: engine().allocate("int32", [3]) }, { y })).toThrow("expected float32 [3], got int32 [3]");
    expect(run({ x: view(ok, [3], 1) }, { y })).toThrow(code("ENGINE_BUFFER"));
    expect(run({ x: ok }, { z: y })).toThrow(code("ENGINE_BINDING"));
    expect(run({ x: ok }, {})).toThrow(code("ENGINE_BINDING"));
    engine().free(ok);
    expect(run({ x: ok }, { y })).toThrow(code("ENGINE_BUFFER"));
    await engine().unload(program);
    expect(run({ x: y }, { y })).toThrow(code("ENGINE_PROGRAM"));
  });

  it("refuses outputs that share memory with another operand", async () => {
    const program = await engine().load(graph("pair", { y: add(x3, x3), z: multiply(x3, x3) }));
    const all = engine().allocate("float32", [8]);
    const other = engine().allocate("float32", [3]);
    const run =
      (x: number, y: number): (() => unknown) =>
      () =>
        engine()
          .pass()
          .run(program, { x: view(all, [3], x) }, { y: view(all, [3], y), z: other });
    expect(run(0, 2)).toThrow(code("ENGINE_ALIAS"));
    expect(run(0, 0)).toThrow(code("ENGINE_ALIAS"));
    expect(run(5, 2)).not.toThrow();
    expect(() =>
      engine()
        .pass()
        .run(program, { x: all && view(all, [3]) }, { y: other, z: other }),
    ).toThrow(code("ENGINE_ALIAS"));
  });

  it("refuses writes and reads that do not fit, and a pass used twice", async () => {
    const buffer = engine().allocate("float32", [3]);
    const pass = engine().pass();
    expect(() => pass.write(buffer, new Float32Array(2))).toThrow(code("ENGINE_WRITE"));
    expect(() => pass.write(buffer, new Int32Array(3) as never)).toThrow(code("ENGINE_WRITE"));
    expect(() => pass.write(buffer, new Float32Array(4).subarray(1), { transfer: true })).toThrow(code("ENGINE_WRITE"));
    expect(() => pass.read("a", buffer).read("a", buffer)).toThrow(code("ENGINE_READ"));
    await pass.submit();
    await expect(pass.submit()).rejects.toEqual(code("ENGINE_PASS"));
    expect(() => pass.read("b", buffer)).toThrow(code("ENGINE_PASS"));
  });

  it("checks calls when they are added", () => {
    const [a, b] = [engine().allocate("float32", [3]), engine().allocate("float32", [4])];
    expect(() => engine().pass().call({ kernel: "addInto", into: a, from: b })).toThrow(code("KERNEL_ARGUMENT"));
    engine().free(b);
    expect(() => engine().pass().call({ kernel: "scale", buffer: b, factor: 1 })).toThrow(code("ENGINE_BUFFER"));
  });
}

function closing(create: () => Promise<Engine>): void {
  it("rejects what is pending and everything after", async () => {
    const engine = await create();
    const program = await engine.load(doubling);
    const [x, y] = [engine.allocate("float32", [3]), engine.allocate("float32", [3])];
    const pass = engine.pass();
    for (let i = 0; i < 5000; i++) pass.run(program, { x }, { y });
    const pending = expect(pass.submit()).rejects.toEqual(code("ENGINE_CLOSED"));
    const next = expect(engine.pass().read("y", y).submit()).rejects.toEqual(code("ENGINE_CLOSED"));
    await Promise.all([engine.close(), engine.close(), pending, next]);
    expect(() => engine.pass()).toThrow(code("ENGINE_CLOSED"));
    await expect(engine.load(doubling)).rejects.toEqual(code("ENGINE_CLOSED"));
  });
}
