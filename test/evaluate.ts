// Values in, numbers out: graphs built by a test run on the engine in the test's own thread.
import { afterAll } from "vitest";
import { graph, type Value } from "../src/graph/graph.ts";
import type { DType, Shape, Tensor } from "../src/graph/tensor.ts";
import { createDirectEngine } from "../src/runtime/direct-node.ts";
import type { Engine, EngineBuffer } from "../src/runtime/engine.ts";

let started: Promise<Engine> | undefined;

/** The engine that a test file shares, with one thread, so that sums come out the same on every machine. */
function engineOfFile(): Promise<Engine> {
  started ??= createDirectEngine({ threads: 1 });
  return started;
}

afterAll(async () => (await started)?.close());

/** Runs the graph of `outputs` once; inputs that it does not reach may be fed all the same. */
export async function evaluate<K extends string>(
  outputs: Readonly<Record<K, Value>>,
  feeds: Readonly<Record<string, Tensor>> = {},
): Promise<Record<K, Tensor>> {
  const engine = await engineOfFile();
  const program = await engine.load(graph("test", outputs));
  const pass = engine.pass();
  const buffers: EngineBuffer[] = [];
  const bind = (types: Readonly<Record<string, { dtype: DType; shape: Shape }>>): Record<string, EngineBuffer> =>
    Object.fromEntries(
      Object.entries(types).map(([name, { dtype, shape }]) => {
        const buffer = engine.allocate(dtype, shape);
        buffers.push(buffer);
        return [name, buffer];
      }),
    );
  try {
    const [inputs, results] = [bind(program.inputs), bind(program.outputs)];
    for (const [name, buffer] of Object.entries(inputs)) {
      const feed = feeds[name];
      if (!feed) throw new Error(`no feed for the input ${name}`);
      pass.write(buffer, feed.data as never);
    }
    pass.run(program, inputs, results);
    for (const [name, buffer] of Object.entries(results)) pass.read(name, buffer);
    return (await pass.submit()) as Record<K, Tensor>;
  } finally {
    for (const buffer of buffers) engine.free(buffer);
    await engine.unload(program);
  }
}
