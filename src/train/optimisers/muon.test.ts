// Muon against torch.optim.Muon, and what its iteration makes of singular values.
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openFile } from "../../formats/node.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { graph, input } from "../../graph/graph.ts";
import { floats, type Shape } from "../../graph/tensor.ts";
import { createDirectEngine } from "../../runtime/direct-node.ts";
import { download, upload } from "../../runtime/engine.ts";
import { createMuon, orthogonalised } from "./muon.ts";
import type { TrainedWeight } from "./optimiser.ts";

const engine = await createDirectEngine({ threads: 1 });
const source = await openFile(fileURLToPath(new URL("../../../test/golden/muon.safetensors", import.meta.url)));
const golden = await readSafetensors(source);
afterAll(async () => {
  await source.close();
  await engine.close();
});

/** √(Σ (a − b)² / Σ b²) */
function apart(a: Float32Array, b: Float32Array): number {
  const squares = (of: Float32Array): number => of.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squares(a.map((x, i) => x - b[i]!)) / squares(b));
}

describe.each([
  ["tall", [40, 12]],
  ["wide", [12, 20]],
  ["square", [16, 16]],
] as [string, Shape][])("on a %s matrix", (name, shape) => {
  const muon = createMuon(engine);
  afterAll(() => muon.release!());

  it("steps as PyTorch does: exactly in float32, within bfloat16's precision as PyTorch ships it", async () => {
    const load = async (key: string): Promise<Float32Array<ArrayBuffer>> => golden.loadFloat32(`${name}.${key}`);
    const start = await load("start");
    const layout = muon.state("layers.0.weight", shape);
    expect(layout).toEqual({ momentum: { dtype: "float32", shape } });
    const weight: TrainedWeight = {
      ...{ name: "layers.0.weight", shape },
      parameter: await upload(engine, floats(shape, start)),
      gradient: engine.allocate("float32", shape),
      state: { momentum: engine.allocate("float32", shape) },
    };
    for (let i = 0; i < 4; i++) {
      const pass = engine.pass().write(weight.gradient, await load(`gradient.${i}`));
      const options = { step: i + 1, learningRate: 0.02, weightDecay: 0.1, scale: 1 };
      await muon.update(pass, weight, { ...options, betas: [0.9, 0.999], epsilon: 1e-8 });
      await pass.submit();
      const { data } = await download(engine, weight.parameter);
      expect(apart(data, await load(`float32.${i}`))).toBeLessThan(5e-6);
      // of what has changed since the start
      const change = (values: Float32Array): Float32Array => values.map((x, k) => x - start[k]!);
      expect(apart(change(data), change(await load(`bfloat16.${i}`)))).toBeLessThan(0.15);
    }
  });

  it("has singular values around one, whatever they were", async () => {
    const program = await engine.load(graph("orthogonalised", { o: orthogonalised(input("x", "float32", shape)) }));
    const [x, o] = [engine.allocate("float32", shape), engine.allocate("float32", shape)];
    const [rows, columns] = shape as [number, number];
    const onDiagonal = (i: number): boolean => Math.floor(i / columns) === i % columns;
    const strong = Float32Array.from({ length: rows * columns }, (_, i) => (onDiagonal(i) ? 1 + i / 10 : 0));
    await engine.pass().write(x, strong).run(program, { x }, { o }).submit();
    const { data } = await download(engine, o);
    // a diagonal stays one, and its entries are its singular values
    data.forEach((value, i) => {
      if (!onDiagonal(i)) expect(Math.abs(value)).toBeLessThan(1e-6);
      else expect(Math.abs(value - 1)).toBeLessThan(0.35);
    });
    await engine.unload(program);
  });
});

it("leaves tables, the head, biases and norms to AdamW", () => {
  const muon = createMuon(engine);
  const names = ["model.embed_tokens.weight", "lm_head.weight", "position"];
  for (const name of names) expect(Object.keys(muon.state(name, [40, 12]))).toEqual(["m", "v"]);
  expect(Object.keys(muon.state("linear_1.bias", [12]))).toEqual(["m", "v"]);
  expect(Object.keys(muon.state("linear_1.weight", [12, 8]))).toEqual(["momentum"]);
  return muon.release!();
});
