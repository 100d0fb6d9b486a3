// The loss of SmolLM2 learning captions by adapters on a float32 base, and on the same base in 4-bit blocks: as they lie in
// the GGUF file, and made anew from the float32 values. One packed row a step.
//
//   npm run build && node bench/qlora-curve.mjs [--steps 40] [--length 256] [--lab ../shared] [--model NAME] [--variants float,stored,made]
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { buildRow } from "../dist/data/pack.js";
import { loraTargets } from "../dist/models/lora.js";
import { openLanguage } from "../dist/models/node.js";
import { createEngine } from "../dist/runtime/node.js";
import { createTokenizer } from "../dist/text/tokenizer.js";
import { freshAdapter, loadAdapted } from "../dist/train/adapted-part.js";
import { microBatch } from "../dist/train/micro-batch.js";
import { loadPart } from "../dist/train/parameters.js";
import { createStepper } from "../dist/train/step.js";
import { aroundLanguage } from "./around-language.mjs";

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "40" },
    length: { type: "string", default: "256" },
    rate: { type: "string", default: "5e-4" },
    lab: { type: "string", default: "../shared" },
    model: { type: "string", default: "smollm2-135m-instruct" },
    variants: { type: "string", default: "float,stored,made" },
  },
});
const [steps, length] = [Number(options.steps), Number(options.length)];

const files = await openLanguage(`${options.lab}/models/${options.model}`);
const tokenizer = createTokenizer(await files.tokenizer());
const { annotations } = JSON.parse(readFileSync(`${options.lab}/data/coco/captions.json`, "utf8"));
const text = annotations.map(({ caption }) => caption.trim()).slice(0, 40 * steps);
const ids = Int32Array.from(tokenizer.encode(text.join("\n"), "start"));
const rowOf = (step) => {
  const part = ids.slice(step * length, (step + 1) * length);
  return buildRow([{ id: String(step), images: [], ids: part, labels: part, imageRuns: [] }], length);
};
if (ids.length < steps * length) throw new Error(`${ids.length} tokens are too few for ${steps} steps`);

const lora = { rank: 16, alpha: 32, targets: loraTargets.language };
const { shapes, load } = files.weights;
const variants = {
  float: { weights: { shapes, load }, blocks: false },
  stored: { weights: files.weights, blocks: true },
  made: { weights: { shapes, load }, blocks: true },
};

async function curve({ weights, blocks }) {
  const engine = await createEngine();
  const config = aroundLanguage(files.config);
  const adapter = { lora, weights: freshAdapter(shapes, lora, 0) };
  const parts = {
    projector: await loadPart(engine, "projector", { shapes: new Map(), load }, false),
    language: await loadAdapted(engine, "language", weights, { adapter, blocks }),
  };
  const features = async () => new Float32Array();
  const stepper = createStepper({ engine, config, parts, length, tokens: length, features });
  const losses = [];
  for (let step = 1; step <= steps; step++) {
    const { loss, gradNorm } = await stepper.accumulate([microBatch([rowOf(step - 1)], files.config)]);
    losses.push(loss);
    const learningRates = { language: Number(options.rate) };
    const adamw = { learningRates, betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
    await stepper.update(step, gradNorm, adamw);
    process.stderr.write(`${step}/${steps} ${loss.toFixed(4)}\n`);
  }
  await engine.close();
  return losses;
}

const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;
const curves = {};
for (const name of options.variants.split(",")) curves[name] = await curve(variants[name]);
const [first] = Object.values(curves);
const apart = Object.fromEntries(
  Object.entries(curves).map(([name, losses]) => {
    const each = losses.map((loss, i) => Math.abs(loss / first[i] - 1));
    return [name, { mean: mean(losses), of_first: mean(losses) / mean(first), largest: Math.max(...each) }];
  }),
);
console.log(JSON.stringify({ steps, length, curves, apart }, null, 1));
