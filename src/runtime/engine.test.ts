// The engine's contract on every way to run it, and what only the engine in a thread promises.
import { execFileSync } from "node:child_process";
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

it("lets the process end while an engine is idle, and keeps it alive while a pass runs", () => {
  const url = new URL("../../dist/runtime/node.js", import.meta.url).href;
  const script = `
    const { createEngine } = await import(${JSON.stringify(url)});
    const engine = await createEngine({ threads: 1 });
    const buffer = engine.allocate("float32", [4]);
    engine.pass().call({ kernel: "fill", buffer, value: 2 }).read("b", buffer).submit().then(({ b }) => console.log(b.data.join()));
  `;
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd,
    timeout: 20_000,
    encoding: "utf8",
  });
  expect(output.trim()).toBe("2,2,2,2");
});

it("refuses a wrong LLAVA_THREADS from the thread that reads it", async () => {
  process.env["LLAVA_THREADS"] = "two";
  try {
    await expect(createEngine()).rejects.toMatchObject({ code: "ENGINE_THREADS", exitCode: 2 });
  } finally {
    delete process.env["LLAVA_THREADS"];
  }
});
