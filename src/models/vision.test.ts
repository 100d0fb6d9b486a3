// Vision towers: ViT-Tiny's features and logits as its golden has them, feature layers, and pictures in batches.
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { lab } from "../../test/lab.ts";
import { tinyConfig, tinyJson, tinyModel } from "../../test/tiny-model.ts";
import { inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import { openFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { input, type Value } from "../graph/graph.ts";
import { floats, sizeOf, type Tensor, tensor } from "../graph/tensor.ts";
import { linear } from "../nn/linear.ts";
import { slice } from "../graph/build.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import { createPictureEncoder } from "./encode-pictures.ts";
import { openVision } from "./node.ts";
import { layersNeeded, visionFeatures, visionOutput } from "./vision.ts";
import type { PartWeights } from "./weights.ts";

async function tensorsOf(weights: PartWeights): Promise<Record<string, Tensor>> {
  const all: Record<string, Tensor> = {};
  for (const [name, shape] of weights.shapes) {
    all[name] = tensor("float32", shape, (await weights.load(name)) as Float32Array<ArrayBuffer>);
  }
  return all;
}

describe.skipIf(!lab.present)("ViT-Tiny", () => {
  it("has its golden's features and logits", async () => {
    const folder = lab.path("models/vit-tiny-patch16-224");
    const golden = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as Record<string, number[]> & {
      feature_mean: number;
      feature_std: number;
      argmax: number;
    };
    const files = await openVision(folder);
    const source = await openFile(`${folder}/model.safetensors`);
    const head = await readSafetensors(source);
    const weights = {
      ...(await tensorsOf(files.weights)),
      head: floats([1000, 192], await head.loadFloat32("classifier.weight")),
      head_bias: floats([1000], await head.loadFloat32("classifier.bias")),
    };
    await source.close();
    await files.close();
    const shape = [1, 3, 224, 224];
    const pixels = floats(
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(0.01 * i)),
    );
    const w = (name: string): Value => inputOf(name, weights[name as "head"]);
    const features = visionOutput(input("pixels", "float32", shape), w, files.config);
    const logits = linear(slice(features, 1, 0, 1), w("head"), w("head_bias"));
    const outputs = await evaluate({ features, logits }, { pixels, ...weights });

    const near = (got: readonly number[], expected: readonly number[]): void =>
      got.forEach((x, i) => expect(Math.abs(x - expected[i]!)).toBeLessThan(2e-3));
    const all = numbers(outputs.features);
    expect(all).toHaveLength(197 * 192);
    near(all.slice(0, 8), golden["cls_first8"]!);
    near(all.slice(192, 200), golden["patch0_first8"]!);
    near(all.slice(-8), golden["patch195_last8"]!);
    const mean = all.reduce((sum, x) => sum + x, 0) / all.length;
    const deviation = Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length);
    near([mean, deviation], [golden.feature_mean, golden.feature_std]);
    const scores = numbers(outputs.logits);
    near(scores.slice(0, 8), golden["logits_first8"]!);
    expect(scores.indexOf(Math.max(...scores))).toBe(golden.argmax);
  });
});

describe("features", () => {
  const { vision } = tinyConfig();

  it("count layers from either end", () => {
    const pairs = [
      [-1, 2],
      [-2, 1],
      [-3, 0],
      [0, 0],
      [1, 1],
      [2, 2],
    ] as const;
    for (const [layer, needed] of pairs) expect(layersNeeded(vision, { layer })).toBe(needed);
  });

  it("drop the first position when asked to, as transformers does for any family", async () => {
    for (const family of ["clip_vision_model", "siglip_vision_model", "vit"]) {
      const model = tinyModel(tinyConfig({ vision_config: { ...tinyJson.vision_config, model_type: family } }));
      const pixels = randomTensor("float32", [2, 3, 16, 16], "pixels");
      const weights = await tensorsOf(model.vision);
      const x = inputOf("pixels", pixels);
      const nodes = new Map(Object.entries(weights).map(([name, each]) => [name, inputOf(name, each)]));
      const at = (select: "default" | "full", layer: number): Value =>
        visionFeatures(x, (name) => nodes.get(name)!, model.config.vision, { layer, select });
      const run = await evaluate({ patches: at("default", -2), all: at("full", 1) }, { pixels, ...weights });
      const extra = family === "siglip_vision_model" ? 0 : 1;
      expect(run.all.shape).toEqual([2, 4 + extra, 16]);
      expect(run.patches.shape).toEqual([2, 3 + extra, 16]);
      const rows = numbers(run.all);
      const row = (4 + extra) * 16;
      expect(numbers(run.patches)).toEqual([0, 1].flatMap((b) => rows.slice(b * row + 16, (b + 1) * row)));
    }
  });
});

describe("createPictureEncoder", async () => {
  const engine = await createDirectEngine({ threads: 1 });
  afterAll(() => engine.close());
  const pictures = Array.from({ length: 5 }, (_, i) =>
    Float32Array.from(numbers(randomTensor("float32", [3, 16, 16], i))),
  );

  it("gives each picture the same features, whatever goes through the tower with it", async () => {
    const { config, vision } = tinyModel(tinyConfig({ llava_ts: { pixel_shuffle: 2 } }));
    const encoded: Float32Array[][] = [];
    for (const batch of [1, 2, 4]) {
      const encoder = await createPictureEncoder(engine, config, vision, batch);
      encoded.push(await encoder.encode(pictures));
      await encoder.release();
    }
    expect(encoded[0]).toHaveLength(5);
    for (const features of encoded) {
      expect(features.map(({ length }) => length)).toEqual(Array(5).fill(64));
      features.forEach((one, i) =>
        one.forEach((x, k) => expect(Math.abs(x - encoded[0]![i]![k]!)).toBeLessThan(1e-6 * (1 + Math.abs(x)))),
      );
    }
  });

  it("does not load what the feature layer does not need", async () => {
    const { config, vision } = tinyModel();
    const loaded: string[] = [];
    const watched = {
      ...vision,
      load: (name: string) => {
        loaded.push(name);
        return vision.load(name);
      },
    };
    await (await createPictureEncoder(engine, config, watched, 1)).release();
    expect(loaded.some((name) => name.startsWith("layers.0."))).toBe(true);
    expect(loaded.filter((name) => /^layers\.1\.|post_norm/.test(name))).toEqual([]);
  });
});
