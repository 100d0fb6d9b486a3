// Qwen2's biases and Mistral's window against transformers: logits of the whole graph, loss and gradients of training.
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openFile } from "../../src/formats/node.ts";
import { readSafetensors, type SafetensorsFile } from "../../src/formats/safetensors.ts";
import { openLanguage } from "../../src/models/node.ts";
import { createDirectEngine } from "../../src/runtime/direct-node.ts";
import { download } from "../../src/runtime/engine.ts";
import { microBatch } from "../../src/train/micro-batch.ts";
import { loadPart } from "../../src/train/parameters.ts";
import { largestDifference } from "../../src/train/parity-compare.ts";
import { rowOf } from "../../src/train/parity-rows.ts";
import { loadWhole } from "../../src/train/parity-whole.ts";
import { createStepper } from "../../src/train/step.ts";
import { aroundLanguage, noWeights } from "../tiny-model.ts";

const engine = await createDirectEngine({ threads: 1 });
afterAll(() => engine.close());

async function ids(file: SafetensorsFile, key: string): Promise<Int32Array[]> {
  const { bytes, shape } = await file.load(key);
  const all = Int32Array.from(new BigInt64Array(bytes.buffer), Number);
  return Array.from({ length: shape[0]! }, (_, row) => all.slice(row * shape[1]!, (row + 1) * shape[1]!));
}

const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number => largestDifference(a, b, "values", "golden");

describe.each(["qwen2-tiny", "mistral-tiny"])("%s", async (name) => {
  const folder = fileURLToPath(new URL(name, import.meta.url));
  const model = await openLanguage(folder);
  const source = await openFile(`${folder}/golden.safetensors`);
  const golden = await readSafetensors(source);
  afterAll(async () => {
    await model.close();
    await source.close();
  });
  const [inputs, labels] = [await ids(golden, "input_ids"), await ids(golden, "labels")];
  const rows = inputs.map((row, i) => rowOf(row, labels[i]!, []));
  const config = aroundLanguage(model.config);

  it("reads what makes it differ from llama", () => {
    const { family, queryKeyValueBias, slidingWindow, headSize, tied } = model.config;
    const expected =
      name === "qwen2-tiny"
        ? { family: "qwen2", queryKeyValueBias: true, slidingWindow: undefined, headSize: 4, tied: true }
        : { family: "mistral", queryKeyValueBias: false, slidingWindow: 5, headSize: 8, tied: false };
    expect({ family, queryKeyValueBias, slidingWindow, headSize, tied }).toEqual(expected);
  });

  it("has transformers' logits", async () => {
    const whole = await loadWhole(engine, { config, vision: noWeights, projector: noWeights, language: model.weights });
    const { logits } = await whole.run(rows, [], false);
    await whole.release();
    expect(apart(logits!.data as Float32Array, await golden.loadFloat32("logits"))).toBeLessThan(1e-5);
  });

  it("has transformers' loss and gradients in training", async () => {
    const parts = {
      projector: await loadPart(engine, "projector", noWeights, false),
      language: await loadPart(engine, "language", model.weights, true),
    };
    const features = () => Promise.resolve(new Float32Array());
    const length = rows[0]!.ids.length;
    const stepper = createStepper({ engine, config, parts, length, tokens: rows.length * length, features });
    const { loss } = await stepper.accumulate([microBatch(rows, model.config)]);
    expect(apart([loss], await golden.loadFloat32("loss"))).toBeLessThan(2e-6);
    for (const parameter of model.weights.shapes.keys()) {
      const { data } = await download(engine, parts.language.trained!.state(parameter).gradient);
      const expected = await golden.loadFloat32(`grad.${parameter}`);
      const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect([parameter, apart(data, expected) / largest < 1e-5]).toEqual([parameter, true]);
    }
    await stepper.release();
    for (const part of Object.values(parts)) part.release();
  });
});
