// The engine's contract on every way to run it, and what only the engine in a thread promises.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { matMul } from "../graph/build.ts";
import { graph, input } from "../graph/graph.ts";
import { OnnxGraph } from "../graph/onnx-model.ts";
import { engineContract } from "../../test/engine-contract.ts";
import { createDirectEngine, createEngine } from "./node.ts";

engineContract("in this thread, zero-copy outputs", () => createDirectEngine({ threads: 1, outputs: "zero-copy" }));
engineContract("in this thread, copied outputs", () => createDirectEngine({ threads: 1, outputs: "copy" }));
engineContract("in a worker", () => createEngine({ threads: 1 }));

it("leaves the calling thread free while it computes", async () => {
  const engine = await createEngine({ threads: 1 });
  const x = input("x", "float32", [1024, 1024]);
  const program = await engine.load(graph("square", { y: matMul(x, x) }));
  const [a, y] = [engine.allocate("float32", [1024, 1024]), engine.allocate("float32", [1024, 1024])];
  const pass = engine.pass();
  for (let i = 0; i < 10; i++) pass.run(program, { x: a }, { y });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const started = performance.now();
  await pass.submit();
  const elapsed = performance.now() - started;
  clearInterval(timer);
  await engine.close();
  // a blocked thread would tick once at most
  expect(ticks).toBeGreaterThan(Math.min(3, elapsed / 20));
});

it("runs a model that lies in a file, each run with lengths of its own", async () => {
  const folder = mkdtempSync(join(tmpdir(), "model-file-"));
  const model = new OnnxGraph("sum", { leadingSequence: true });
  const [a, b] = [model.input("a", "float32", ["T", 2]), model.input("b", "float32", [1, 2])];
  model.node("Add", [a, b], { output: "y" });
  model.output("y", "float32", ["T", 2]);
  const path = join(folder, "sum.onnx");
  writeFileSync(path, await model.encode(() => undefined));
  const { inputs, outputs } = model;
  expect(inputs[0]).toEqual({ name: "a", dtype: "float32", shape: [-1, 2] });
  const engine = await createEngine({ threads: 1 });
  const program = await engine.loadFile({ name: "sum", path, inputs, outputs });
  const one = engine.allocate("float32", [1, 2]);
  for (const length of [3, 1]) {
    const [x, y] = [engine.allocate("float32", [length, 2]), engine.allocate("float32", [length, 2])];
    const pass = engine.pass().write(
      x,
      Float32Array.from({ length: 2 * length }, (_, i) => i),
    );
    const read = await pass
      .write(one, Float32Array.of(10, 20))
      .run(program, { a: x, b: one }, { y })
      .read("y", y)
      .submit();
    expect([...(read["y"]!.data as Float32Array)]).toEqual([10, 21, 12, 23, 14, 25].slice(0, 2 * length));
    // an open axis takes any length, the others none but their own
    const wide = engine.allocate("float32", [2, length]);
    const wrong = (): unknown => engine.pass().run(program, { a: wide, b: one }, { y });
    expect(wrong).toThrow(expect.objectContaining({ code: "ENGINE_BINDING" }));
  }
  const missing = engine.loadFile({ name: "none", path: join(folder, "none.onnx"), inputs, outputs });
  await expect(missing).rejects.toMatchObject({ code: "ENGINE_COMPILE" });
  await engine.close();
  rmSync(folder, { recursive: true });
});

/** Runs a script in a process of its own, with an engine at hand; returns its exit code and what it printed. */
function runScript(script: string): { status: number | null; stdout: string } {
  const built = (file: string): string => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);
  const source = `
    const { createEngine } = await import(${built("runtime/node.js")});
    const { matMul } = await import(${built("graph/build.js")});
    const { graph, input } = await import(${built("graph/graph.js")});
    const engine = await createEngine({ threads: 1 });
    ${script}`;
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    cwd,
    timeout: 30_000,
    encoding: "utf8",
  });
  return { status, stdout: stdout.trim() };
}

it("lets the process end while an engine is idle, and keeps it alive while a pass runs", () => {
  const script = `
    const buffer = engine.allocate("float32", [4]);
    engine.pass().call({ kernel: "fill", buffer, value: 2 }).read("b", buffer).submit().then(({ b }) => console.log(b.data.join()));`;
  expect(runScript(script)).toEqual({ status: 0, stdout: "2,2,2,2" });
});

it.each([
  ["process.exit(7)", 7],
  ["throw new RangeError()", 1],
])("lets %s end the process cleanly while a pass runs", (end, status) => {
  const script = `
    const x = input("x", "float32", [1024, 1024]);
    const program = await engine.load(graph("square", { y: matMul(x, x) }));
    const [a, y] = [engine.allocate("float32", [1024, 1024]), engine.allocate("float32", [1024, 1024])];
    const pass = engine.pass();
    for (let i = 0; i < 1000; i++) pass.run(program, { x: a }, { y });
    pass.submit().catch(() => console.log("rejected"));
    setTimeout(() => { console.log("ending"); ${end}; }, 100);`;
  expect(runScript(script)).toEqual({ status, stdout: "ending" });
});

it("refuses a wrong LLAVA_THREADS from the thread that reads it", async () => {
  process.env["LLAVA_THREADS"] = "two";
  try {
    await expect(createEngine()).rejects.toMatchObject({ code: "ENGINE_THREADS", exitCode: 2 });
  } finally {
    delete process.env["LLAVA_THREADS"];
  }
});
