// Makes the two tiny bases anew: the tower, then the language model. About half an hour on two free cores.
import { join } from "node:path";
import { parsePreprocessor } from "../../image/preprocessor.ts";
import { parseVisionConfig } from "../../models/config.ts";
import type { Engine } from "../../runtime/engine.ts";
import { writeVision } from "./files.ts";
import { trainLanguage } from "./language.ts";
import { preprocessorJson, visionConfigJson } from "./shapes.ts";
import { trainTower } from "./tower.ts";

export interface MakeOptions {
  readonly engine: Engine;
  /** vision/ and language/ are written below it; the project's own lie in assets/tiny */
  readonly folder: string;
  /** for reading matter, the untrained model and the run */
  readonly scratch: string;
  readonly onStep?: (base: "vision" | "language", step: number, steps: number, loss: number) => void;
}

/** What the committed bases were made with. */
const seed = 0;
const pictures = 8000;
const towerSteps = 4000;
const notes = 6000;
const readingSteps = 3000;

/** Trains and writes both bases; the same machine makes the same weights. */
export async function makeTinyBases({ engine, folder, scratch, onStep }: MakeOptions): Promise<void> {
  const tower = await trainTower({
    engine,
    config: parseVisionConfig(visionConfigJson, "the tiny tower"),
    preprocessor: parsePreprocessor(preprocessorJson, "the tiny tower"),
    seed,
    pictures,
    steps: towerSteps,
    onStep: (step, loss) => onStep?.("vision", step, towerSteps, loss),
  });
  const vision = join(folder, "vision");
  await writeVision(vision, tower, "F16");
  await trainLanguage(join(folder, "language"), {
    ...{ engine, vision, scratch, seed, notes, steps: readingSteps },
    onStep: (step, loss) => onStep?.("language", step, readingSteps, loss),
  });
}
