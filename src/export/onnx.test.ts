// The ONNX folder by ONNX Runtime, run as transformers.js runs it: logits and greedy ids of our own engine.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { random } from "../data/random.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { openLlava } from "../models/node.ts";
import { tokensPerPicture } from "../models/config.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import { rowOf } from "../train/parity-rows.ts";
import { loadWhole } from "../train/parity-whole.ts";
import { tinyJson } from "../../test/tiny-model.ts";
import { writeTinyLlava } from "../../test/tiny-export.ts";
import { exportModel } from "./export.ts";
import { onnxFiles, OnnxGraph } from "../graph/onnx-model.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "onnx-"));
});
afterAll(() => rm(root, { recursive: true }));

const steps = 6;
const prompt = [5, 9, 40, 71, 12, 7];

interface Answer {
  /** of the prompt's last position */
  readonly logits: Float32Array;
  readonly greedy: number[];
}

const best = (logits: Float32Array): number => logits.indexOf(Math.max(...logits));

function pixelsOf(side: number): Float32Array {
  const draw = random("onnx", side);
  return Float32Array.from({ length: 3 * side * side }, () => 2 * draw.float() - 1);
}

/** Our engine, the whole model anew for each id. */
async function ours(model: string): Promise<Answer> {
  const files = await openLlava(model);
  const engine = await createDirectEngine({ threads: 1 });
  const whole = await loadWhole(engine, files);
  try {
    const length = tokensPerPicture(files.config);
    const { vocabSize } = files.config.language;
    const ids = [...Array<number>(length).fill(files.config.imageTokenId), ...prompt];
    const start = ids.length;
    let logits: Float32Array | undefined;
    while (ids.length < start + steps) {
      const images = [{ start: 0, length, document: 0, image: "0" }];
      const row = rowOf(Int32Array.from(ids), new Int32Array(ids.length).fill(-100), images);
      const out = await whole.run([row], [pixelsOf(files.config.vision.imageSize)], false);
      const last = (out["logits"]!.data as Float32Array).slice(-vocabSize);
      logits ??= last;
      ids.push(best(last));
    }
    return { logits: logits!, greedy: ids.slice(start) };
  } finally {
    await whole.release();
    await engine.close();
    await files.close();
  }
}

const int64 = (values: readonly number[]): Tensor =>
  new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);

/** The three graphs, the cache fed back, as transformers.js does. */
async function theirs(folder: string, suffix: string): Promise<Answer> {
  const open = (name: string): Promise<InferenceSession> =>
    InferenceSession.create(join(folder, "onnx", `${name}${suffix}.onnx`), { intraOpNumThreads: 1 });
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as typeof tinyJson;
  const { text_config: text, vision_config: sight } = config;
  const [vision, embed, decoder] = await Promise.all(
    ["vision_encoder", "embed_tokens", "decoder_model_merged"].map(open),
  );
  const pixels = new Tensor("float32", pixelsOf(sight.image_size), [1, 3, sight.image_size, sight.image_size]);
  const { image_features: rows } = await vision!.run({ pixel_values: pixels });
  const { inputs_embeds: words } = await embed!.run({ input_ids: int64(prompt) });
  const head = text.hidden_size / text.num_attention_heads;
  const empty = new Tensor("float32", new Float32Array(0), [1, text.num_key_value_heads, 0, head]);
  let cache: Record<string, Tensor> = {};
  for (let i = 0; i < text.num_hidden_layers; i++) {
    cache = { ...cache, [`past_key_values.${i}.key`]: empty, [`past_key_values.${i}.value`]: empty };
  }
  const joined = [...(rows!.data as Float32Array), ...(words!.data as Float32Array)];
  let total = joined.length / text.hidden_size;
  let embeds: Tensor = new Tensor("float32", Float32Array.from(joined), [1, total, text.hidden_size]);
  let logits: Float32Array | undefined;
  const greedy: number[] = [];
  while (greedy.length < steps) {
    const attention_mask = int64(Array<number>(total).fill(1));
    const out = await decoder!.run({ inputs_embeds: embeds, attention_mask, ...cache });
    const last = (out["logits"]!.data as Float32Array).slice(-text.vocab_size);
    logits ??= last;
    greedy.push(best(last));
    const renamed = Object.entries(out).filter(([name]) => name.startsWith("present"));
    cache = Object.fromEntries(renamed.map(([name, value]) => [name.replace("present", "past_key_values"), value]));
    embeds = (await embed!.run({ input_ids: int64([greedy.at(-1)!]) }))["inputs_embeds"]!;
    total++;
  }
  for (const session of [vision, embed, decoder]) await session!.release();
  return { logits: logits!, greedy };
}

const farthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), Math.abs(a.length - b.length));

const text = tinyJson.text_config;
const cases: [string, object][] = [
  ["CLIP, untied", {}],
  [
    "ViT, pixel shuffle, one layer, tied",
    {
      vision_config: { ...tinyJson.vision_config, model_type: "vit" },
      llava_ts: { projector: "linear", pixel_shuffle: 2 },
      text_config: { ...text, tie_word_embeddings: true },
    },
  ],
  [
    "SigLIP, two feature layers, qwen2",
    {
      vision_config: { ...tinyJson.vision_config, model_type: "siglip_vision_model" },
      vision_feature_layer: [-2, -1],
      vision_feature_select_strategy: "full",
      text_config: { ...text, model_type: "qwen2" },
    },
  ],
  ["mistral with a window", { text_config: { ...text, model_type: "mistral", sliding_window: 4 } }],
];

describe("three graphs", () => {
  it.each(cases)("give our logits and greedy ids: %s", async (_, changes) => {
    const folder = await mkdtemp(join(root, "model-"));
    await writeTinyLlava(join(folder, "model"), changes as Record<string, object>);
    await exportModel(join(folder, "model"), { to: "onnx", out: join(folder, "out") });
    const [a, b] = [await ours(join(folder, "model")), await theirs(join(folder, "out"), "")];
    expect(farthest(a.logits, b.logits)).toBeLessThan(1e-4);
    expect(b.greedy).toEqual(a.greedy);
  });

  it("come in four variants, each near the first", async () => {
    // blocks of 32 need rows of as many
    const wide = {
      vision_config: { ...tinyJson.vision_config, hidden_size: 32, intermediate_size: 64 },
      text_config: { ...text, hidden_size: 32, intermediate_size: 64 },
    };
    const [model, out] = [join(root, "wide"), join(root, "variants")];
    await writeTinyLlava(model, wide);
    await exportModel(model, { to: "onnx", out, quantize: "all" });
    expect(await readdir(join(out, "onnx"))).toHaveLength(12);
    const whole = await theirs(out, "");
    const size = Math.max(...whole.logits.map(Math.abs));
    for (const [suffix, bound] of [
      ["_fp16", 2e-3],
      ["_quantized", 0.1],
      ["_q4", 0.5],
    ] as const) {
      const { logits } = await theirs(out, suffix);
      expect([suffix, farthest(logits, whole.logits) / size < bound]).toEqual([suffix, true]);
      expect(farthest(logits, whole.logits)).toBeGreaterThan(0);
    }
  });

  it("put large weights into files beside the model", async () => {
    const graph = new OnnxGraph("large");
    const x = graph.input("x", "float32", ["n", 4]);
    for (const name of ["a", "b"]) {
      const data = (): Promise<Uint8Array> => Promise.resolve(new Uint8Array(new Float32Array(512).fill(2).buffer));
      const w = graph.weight({ name, type: "float32", shape: [4, 128], byteLength: 2048, data });
      graph.node("MatMul", [x, w], { output: `y_${name}` });
      graph.output(`y_${name}`, "float32", ["n", 128]);
    }
    const folder = await mkdtemp(join(root, "large-"));
    for await (const { name, content } of onnxFiles(graph, "m.onnx", { oneFile: 1000, chunk: 3000 })) {
      await writeFileAtomic(join(folder, name), content);
    }
    expect((await readdir(folder)).toSorted()).toEqual(["m.onnx", "m.onnx_data", "m.onnx_data_1"]);
    const session = await InferenceSession.create(join(folder, "m.onnx"));
    const { y_b: y } = await session.run({ x: new Tensor("float32", Float32Array.of(1, 2, 3, 4), [1, 4]) });
    expect([...(y!.data as Float32Array)]).toEqual(Array(128).fill(20));
    await session.release();
  });
});
