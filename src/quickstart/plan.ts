// Where the quickstart puts things, and the recipe it trains.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseRecipe } from "../train/recipe-read.ts";
import type { Recipe } from "../train/recipe.ts";

/** How much is drawn and trained; the defaults fit five minutes on two cores. */
export interface QuickstartSize {
  readonly pictures: number;
  readonly heldOut: number;
  readonly alignEpochs: number;
  readonly instructEpochs: number;
}

export const defaultSize: QuickstartSize = { pictures: 800, heldOut: 100, alignEpochs: 2, instructEpochs: 4 };

/** The files of one quickstart, below one folder. */
export interface QuickstartFiles {
  readonly folder: string;
  /** photos, captions.json and instances.json of the scenes to learn from */
  readonly scenes: string;
  /** the same of scenes that training never sees */
  readonly heldOut: string;
  readonly captions: string;
  readonly instruct: string;
  /** yes/no questions about the held-out scenes */
  readonly questions: string;
  readonly recipe: string;
  readonly model: string;
  readonly report: string;
}

export function filesIn(folder: string): QuickstartFiles {
  return {
    folder,
    scenes: join(folder, "scenes"),
    heldOut: join(folder, "held-out"),
    captions: join(folder, "captions.json"),
    instruct: join(folder, "instruct.json"),
    questions: join(folder, "questions.jsonl"),
    recipe: join(folder, "quickstart.yaml"),
    model: join(folder, "run", "model"),
    report: join(folder, "run", "report.html"),
  };
}

/** The folder of the tiny bases that come with the project. */
const bases = fileURLToPath(new URL("../../assets/tiny", import.meta.url));

/** The recipe as its author would write it. */
export function quickstartRecipe(files: QuickstartFiles, size: QuickstartSize, seed: number): string {
  const images = join(files.scenes, "photos");
  return `# Written by llava quickstart: two tiny bases, joined in LLaVA's two stages.
name: quickstart
model:
  vision:    { path: ${quoted(join(bases, "vision"))}, layer: -1 }
  projector: { kind: mlp2x_gelu, pixel_shuffle: 2 }
  language:  { path: ${quoted(join(bases, "language"))} }
  template:  chatml
stages:
  # the projector learns to say in words what the vision tower sees
  - { name: align, data: ${quoted(files.captions)}, images: ${quoted(images)}, train: [projector],
      batch_size: 32, learning_rate: 2.0e-3, epochs: ${size.alignEpochs} }
  # projector and language model learn to answer questions about pictures
  - { name: instruct, data: ${quoted(files.instruct)}, images: ${quoted(images)}, train: [projector, language],
      batch_size: 16, learning_rate: 1.0e-3, epochs: ${size.instructEpochs} }
output: ${quoted(join(files.folder, "run"))}
cache: ${quoted(join(files.folder, "features"))}
seed: ${seed}
`;
}

export function parseQuickstartRecipe(text: string, files: QuickstartFiles): Recipe {
  return parseRecipe(text, files.recipe);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
