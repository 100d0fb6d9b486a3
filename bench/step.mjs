// One training step of ours: a LLaMA of SmolLM2-135M's shape with random weights, 4 rows of 256 tokens, exact global
// clip at 1.0, AdamW, through the trainer's own stepper and the engine's own thread.
// --task step: every weight learns from every token. packed: the same tokens as documents of 16 to 128 tokens, several
// to a row under the true mask. align: the language model is frozen, a projector learns through 49 picture tokens a row
// from 30 % of the tokens.
// Prints one line of JSON: seconds of each step, losses, peak resident memory in MB.
//
//   npm run build && node bench/step.mjs [--threads 2] [--steps 8] [--task step|packed|align] [--lora 16] [--quantize]
//       [--shape tinyllama] [--activations keep|recompute] [--own] [--tiny]
//
// --lora: adapters of that rank on all linear layers instead of the weights; --quantize: the base in 4-bit blocks;
// --shape tinyllama: TinyLlama-1.1B's shape, one row of 512 tokens; --own: gradients in memory of their own instead of
// where activations lay (as steps of several micro-batches need it).
import { parseArgs } from "node:util";
import { random } from "../dist/data/random.js";
import { buildRow } from "../dist/data/pack.js";
import { sizeOf } from "../dist/graph/tensor.js";
import { tokensPerPicture } from "../dist/models/config.js";
import { languageShapes } from "../dist/models/llama.js";
import { loraTargets } from "../dist/models/lora.js";
import { projectorShapes } from "../dist/models/projector.js";
import { createEngine } from "../dist/runtime/node.js";
import { freshAdapter, loadAdapted } from "../dist/train/adapted-part.js";
import { sharedRoom } from "../dist/train/memory-plan.js";
import { microBatch } from "../dist/train/micro-batch.js";
import { loadPart } from "../dist/train/parameters.js";
import { createStepper } from "../dist/train/step.js";
import { aroundLanguage } from "./around-language.mjs";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "8" },
    lora: { type: "string" },
    quantize: { type: "boolean", default: false },
    shape: { type: "string", default: "smollm2" },
    task: { type: "string", default: "step" },
    activations: { type: "string", default: "keep" },
    own: { type: "boolean", default: false },
    tiny: { type: "boolean", default: false },
  },
});
const align = options.task === "align";
const smol = { num_attention_heads: 9, num_key_value_heads: 3, hidden_size: 576, tie_word_embeddings: true };
const shapesByName = {
  tiny: { rows: [2, 64], ...smol, vocab_size: 512, intermediate_size: 96, num_hidden_layers: 2 },
  smollm2: { rows: [4, 256], ...smol, vocab_size: 49152, intermediate_size: 1536, num_hidden_layers: 30 },
  tinyllama: {
    rows: [1, 512],
    vocab_size: 32000,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    tie_word_embeddings: false,
  },
};
const {
  rows: [rows, length],
  ...shape
} = shapesByName[options.tiny ? "tiny" : options.shape];

const config = aroundLanguage({
  ...shape,
  model_type: "llama",
  head_dim: 64,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
});

/** Matrices uniform around zero with a standard deviation of 0.02, norms of one. */
async function randomWeight(name, of) {
  if (name.endsWith("norm.weight")) return new Float32Array(sizeOf(of)).fill(1);
  // a linear congruential generator: there may be a billion of them
  let state = random("bench", name).next();
  const spread = (0.02 * Math.sqrt(3)) / 2 ** 31;
  const values = new Float32Array(sizeOf(of));
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = state * spread;
  }
  return values;
}
const shapes = languageShapes(config.language);
const weights = { shapes, load: (name) => randomWeight(name, shapes.get(name)) };
const projectors = align ? projectorShapes(config) : new Map();
const projector = { shapes: projectors, load: (name) => randomWeight(name, projectors.get(name)) };

const draw = random("bench", "ids");
function sample(i, size) {
  const ids = Int32Array.from({ length: size }, () => draw.int(shape.vocab_size));
  if (!align) return { id: String(i), images: [], ids, labels: ids, imageRuns: [] };
  const places = tokensPerPicture(config);
  const labels = ids.map((id, t) => (t > places && draw.chance(0.3 / (1 - places / size)) ? id : -100));
  return { id: String(i), images: [String(i)], ids, labels, imageRuns: [{ start: 0, length: places, image: 0 }] };
}

/** Documents of 16 to 128 tokens that fill a row, or nearly. */
function documents(row) {
  const all = [];
  for (let left = length; left >= 16; left -= all.at(-1).ids.length) {
    const size = Math.min(left, 16 + draw.int(113));
    all.push(sample(`${row}-${all.length}`, left - size < 16 ? left : size));
  }
  return all;
}
const perRow = (row) => (options.task === "packed" ? documents(row) : [sample(row, length)]);
const batch = microBatch(
  Array.from({ length: rows }, (_, row) => buildRow(perRow(row), length)),
  config.language,
);

const engine = await createEngine({ threads: Number(options.threads) });
const memory = { activations: options.activations, shared: !options.own && options.lora === undefined };
const room = { length, tokens: rows * length };
async function loadLanguage() {
  const learns = memory.shared && !align;
  const shared = learns ? sharedRoom(config.language, room, memory.activations) : undefined;
  if (options.lora === undefined) return loadPart(engine, "language", weights, !align, { shared });
  const rank = Number(options.lora);
  const lora = { rank, alpha: 2 * rank, targets: loraTargets.language };
  const adapter = { lora, weights: freshAdapter(shapes, lora, 0) };
  return loadAdapted(engine, "language", weights, { adapter, blocks: options.quantize });
}
const parts = {
  projector: await loadPart(engine, "projector", projector, align),
  language: await loadLanguage(),
};
const loaded = process.resourceUsage().maxRSS / 1024;
const features = async (images) =>
  Float32Array.from({ length: images.length * tokensPerPicture(config) * 768 }, () => 2 * draw.float() - 1);
const stepper = createStepper({ engine, config, parts, ...room, features, memory });
const adamw = {
  learningRates: align ? { projector: 1e-3 } : { language: 1e-4 },
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
};
const seconds = [];
const losses = [];
for (let step = 1; step <= Number(options.steps); step++) {
  const started = performance.now();
  const { loss, gradNorm } = await stepper.accumulate([batch]);
  await stepper.update(step, gradNorm, adamw);
  losses.push(loss);
  seconds.push((performance.now() - started) / 1000);
}
const peak = process.resourceUsage().maxRSS / 1024;
await engine.close();
const memories = { loaded_mb: loaded, peak_mb: peak };
console.log(JSON.stringify({ version: process.version, seconds, losses, ...memories, tokens: batch.tokens }));
