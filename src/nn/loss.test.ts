// Cross-entropy against float64, out to logits of ±10 000, and its gradient p − onehot(label).
import fc from "fast-check";
import { expect, it } from "vitest";
import { directionError } from "../../test/direction.ts";
import { evaluate } from "../../test/evaluate.ts";
import { distance, inputOf, numbers, randomTensor, tensorOf } from "../../test/tensors.ts";
import { gradients } from "../autodiff/backward.ts";
import { constant } from "../graph/graph.ts";
import { floats, type Tensor } from "../graph/tensor.ts";
import { crossEntropy } from "./loss.ts";

/** Loss and softmax of one row in float64. */
function reference(row: readonly number[], label: number): { loss: number; p: number[] } {
  const most = Math.max(...row);
  const total = row.reduce((sum, z) => sum + Math.exp(z - most), 0);
  return { loss: most + Math.log(total) - row[label]!, p: row.map((z) => Math.exp(z - most) / total) };
}

async function compare(logits: Tensor, labels: Tensor): Promise<void> {
  const [n, v] = logits.shape as [number, number];
  const from = inputOf("logits", logits);
  const { loss_N1, probabilities_NV } = crossEntropy(from, inputOf("labels", labels));
  const weights = Array.from({ length: n }, (_, i) => (i % 3) + 0.5);
  const [dlogits] = gradients(new Map([[loss_N1, constant(floats([n, 1], weights))]]), [from]);
  const got = await evaluate({ loss_N1, probabilities_NV, dlogits: dlogits! }, { logits, labels });

  const values = numbers(logits);
  const rows = numbers(labels).map((label, i) => ({ label, ...reference(values.slice(i * v, (i + 1) * v), label) }));
  // z and max z are rounded as float32 stores them: half a unit in the last place of the largest
  const largest = Math.max(...values.map(Math.abs));
  const loss = numbers(got.loss_N1);
  rows.forEach((row, i) => expect(Math.abs(loss[i]! - row.loss)).toBeLessThanOrEqual(1e-6 + 1.2e-7 * largest));
  expect(
    distance(
      numbers(got.probabilities_NV),
      rows.flatMap(({ p }) => p),
    ),
  ).toBeLessThan(1e-6);
  const gradient = rows.flatMap(({ label, p }, i) => p.map((x, j) => weights[i]! * (x - Number(j === label))));
  expect(distance(numbers(got.dlogits), gradient)).toBeLessThan(2e-6);
}

it("is −log softmax at the label, with gradient p − onehot", async () => {
  const sizes = fc.record({ n: fc.integer({ min: 1, max: 5 }), v: fc.integer({ min: 1, max: 40 }) });
  const scale = fc.constantFrom(0.01, 1, 30, 1e4);
  const property = fc.asyncProperty(sizes, scale, fc.boolean(), fc.nat(), async ({ n, v }, high, long, seed) => {
    const logits = randomTensor("float32", [n, v], seed, { low: -high, high });
    await compare(logits, randomTensor(long ? "int64" : "int32", [n, 1], seed, { low: 0, high: v }));
  });
  await fc.assert(property, { numRuns: 40, seed: 1 });
});

it("stays exact at extreme and equal logits", async () => {
  const rows = [
    [1e4, -1e4, 0, 0],
    [1e4, -1e4, 0, 0],
    [-1e4, -1e4, -1e4, -1e4],
    [1e4, 1e4, -1e4, 1e4],
    [0, 0, 0, 0],
  ];
  const labels = [0, 1, 2, 3, 3];
  const logits = floats([5, 4], rows.flat());
  await compare(logits, tensorOf("int32", [5, 1], labels));
  const { loss_N1 } = crossEntropy(inputOf("z", logits), inputOf("l", tensorOf("int32", [5, 1], labels)));
  const loss = numbers((await evaluate({ loss_N1 }, { z: logits, l: tensorOf("int32", [5, 1], labels) })).loss_N1);
  expect(loss.slice(0, 2)).toEqual([0, 20000]);
});

it("has the gradient that differences give", async () => {
  const operands = {
    logits: randomTensor("float32", [4, 7], "logits"),
    labels: tensorOf("int32", [4, 1], [0, 6, 3, 3]),
  };
  const f = ({ logits, labels }: Record<string, ReturnType<typeof inputOf>>) => crossEntropy(logits!, labels!).loss_N1;
  expect(await directionError(f, operands, 1)).toBeLessThan(1e-5);
});
