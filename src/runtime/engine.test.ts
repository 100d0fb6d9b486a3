// The engine's contract on every way to run it, and what only the engine in a thread promises.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { matMul } from "../graph/build.ts";
import { graph, input } from "../graph/graph.ts";
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
