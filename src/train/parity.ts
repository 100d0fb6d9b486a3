// Parity: how far this model's numbers lie from what PyTorch and transformers computed, stage by stage.
import { BugError, InputError } from "../errors.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { LlavaFiles } from "../models/node.ts";
import type { Engine } from "../runtime/engine.ts";
import {
  compareGradients,
  type Comparison,
  compareStage,
  largestDifference,
  type StageName,
} from "./parity-compare.ts";
import type { Golden } from "./parity-golden.ts";
import { wholeShapes } from "./parity-graph.ts";
import { rowOf } from "./parity-rows.ts";
import { trainingParity } from "./parity-training.ts";
import { loadWhole, type WholeModel } from "./parity-whole.ts";

export interface ParityReport {
  /** in the order of the computation */
  readonly stages: Readonly<Partial<Record<StageName, Comparison>>>;
  readonly ok: boolean;
}

/** How many ids of row 0 the golden's greedy continuation follows. */
const promptLength = 24;

/**
 * Compares a model with a golden file: features, projection, logits, loss, the gradient of every parameter and a greedy
 * continuation by the whole model as one graph; loss, gradients and loss curves by the training path itself.
 * Throws `GOLDEN_MISSING`, `GOLDEN_SHAPE`, `GOLDEN_VALUE` for a file that does not fit the model.
 */
export async function parity(engine: Engine, files: LlavaFiles, golden: Golden): Promise<ParityReport> {
  const stages = { ...(await wholeParity(engine, files, golden)), ...(await trainingParity(engine, files, golden)) };
  return { stages, ok: Object.values(stages).every(({ ok }) => ok) };
}

async function wholeParity(engine: Engine, files: LlavaFiles, golden: Golden): Promise<ParityReport["stages"]> {
  if (golden.rows.every(({ labels }) => labels.every((id) => id === -100))) {
    throw new InputError("GOLDEN_VALUE", { expected: "labels other than -100", got: "none", where: golden.where });
  }
  const whole = await loadWhole(engine, files);
  try {
    const outputs = await whole.run(golden.rows, golden.pictures, true);
    const compare = async (name: "tower_features" | "projected" | "logits" | "loss"): Promise<Comparison> =>
      compareStage(name, largestDifference(valuesOf(outputs, name), await golden.output(name), name, golden.where));
    return {
      ...(golden.pictures.length > 0
        ? { tower_features: await compare("tower_features"), projected: await compare("projected") }
        : {}),
      logits: await compare("logits"),
      loss: await compare("loss"),
      gradients: await compareGradients(
        "gradients",
        golden,
        [...wholeShapes(files.config).keys(), ...golden.gradients],
        (name) => Promise.resolve(outputs[`grad.${name}`]?.data as Float32Array | undefined),
      ),
      greedy: compareStage("greedy", await greedyMisses(whole, golden)),
    };
  } finally {
    await whole.release();
  }
}

function valuesOf(outputs: Readonly<Record<string, Tensor>>, name: string): Float32Array {
  const found = outputs[name];
  if (found === undefined) throw new BugError("PARITY_OUTPUT", { expected: `an output ${name}`, got: "none" });
  return found.data as Float32Array;
}

/** How many of the golden's greedy ids come out otherwise, each id computed by the whole model anew. */
async function greedyMisses(whole: WholeModel, { rows, pictures, greedy, where }: Golden): Promise<number> {
  const first = rows[0]!;
  const images = first.images.filter(({ start, length }) => start + length <= promptLength);
  if (
    first.ids.length < promptLength ||
    first.images.some(({ start }, i) => start < promptLength && i >= images.length)
  ) {
    const expected = `a first row of at least ${promptLength} ids, none of its pictures cut there`;
    throw new InputError("GOLDEN_VALUE", { expected, got: `${first.ids.length} ids`, where });
  }
  const ids = new Int32Array(promptLength + greedy.length);
  ids.set(first.ids.subarray(0, promptLength));
  const labels = new Int32Array(ids.length).fill(-100);
  for (let t = promptLength; t < ids.length; t++) {
    const logits = valuesOf(await whole.run([rowOf(ids, labels, images)], pictures, false), "logits");
    const width = logits.length / ids.length;
    ids[t] = largestIndex(logits.subarray((t - 1) * width, t * width));
  }
  return greedy.reduce((misses, id, i) => misses + (ids[promptLength + i] === id ? 0 : 1), 0);
}

function largestIndex(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
