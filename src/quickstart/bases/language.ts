// Trains the tiny language model: notes and questions about them, read with the trainer that everyone uses.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeSamples } from "../../data/samples.ts";
import { type Shape, sizeOf } from "../../graph/tensor.ts";
import { embeddingName } from "../../models/llama.ts";
import { openLlava } from "../../models/node.ts";
import { memoryWeights, type PartWeights } from "../../models/weights.ts";
import type { Engine } from "../../runtime/engine.ts";
import { parseRecipe } from "../../train/recipe-read.ts";
import { train } from "../../train/run.ts";
import { learnTokenizer } from "./bpe.ts";
import { writeLanguage } from "./files.ts";
import { readingSamples } from "./reading.ts";
import { vocabularySize } from "./shapes.ts";
import { startingLanguage } from "./language-start.ts";

export interface LanguageOptions {
  readonly engine: Engine;
  /** folder of the vision tower: the trainer wants a whole model, though nothing here has a picture */
  readonly vision: string;
  /** where the reading matter, the untrained model and the run go */
  readonly scratch: string;
  readonly seed: number;
  readonly notes: number;
  readonly steps: number;
  readonly onStep?: (step: number, loss: number) => void;
}

/** Writes the trained language model into `folder`, in Hugging Face's layout. */
export async function trainLanguage(folder: string, options: LanguageOptions): Promise<void> {
  const { engine, vision, scratch, seed, notes, steps, onStep } = options;
  await mkdir(scratch, { recursive: true });
  const reading = await readingSamples(notes, seed);
  await writeSamples(join(scratch, "reading.json"), reading);
  const texts = reading.flatMap(({ conversations }) => conversations.map(({ value }) => value));
  const files = learnTokenizer(texts, vocabularySize);
  await writeLanguage(join(scratch, "untrained"), await startingLanguage(files.pieces, seed), files, "F32");
  const recipe = parseRecipe(JSON.stringify(readingRecipe({ vision, scratch, seed, steps })), "reading recipe");
  await train(recipe, {
    engine,
    onEvent: (event) => {
      if (event.type === "step") onStep?.(event.metrics.step, event.metrics.loss);
    },
  });
  const { language, close } = await openLlava(join(scratch, "run", "model"));
  await writeLanguage(folder, await withoutAddedRows(language), files, "F16");
  await close();
}

function readingRecipe({
  vision,
  scratch,
  seed,
  steps,
}: Pick<LanguageOptions, "vision" | "scratch" | "seed" | "steps">): object {
  return {
    name: "reading",
    model: {
      vision: { path: vision, layer: -1 },
      projector: { kind: "mlp2x_gelu", pixel_shuffle: 2 },
      language: { path: join(scratch, "untrained") },
      template: "chatml",
    },
    stages: [
      {
        ...{ name: "read", data: join(scratch, "reading.json"), train: ["language"], batch_size: 32, steps },
        ...{ learning_rate: 2e-3, warmup: 0.05, betas: [0.9, 0.98], weight_decay: 0.01, checkpoint_every: 500 },
      },
    ],
    output: join(scratch, "run"),
    seed,
  };
}

/** The trainer added rows for `<image>`; the base has none. */
async function withoutAddedRows(language: PartWeights): Promise<PartWeights> {
  const tensors = new Map<string, { shape: Shape; data: Float32Array }>();
  for (const [name, shape] of language.shapes) {
    const kept: Shape = name === embeddingName ? [vocabularySize, shape[1]!] : shape;
    tensors.set(name, { shape: kept, data: (await language.load(name)).subarray(0, sizeOf(kept)) });
  }
  return memoryWeights(tensors);
}
