// The weights of a stage's best evaluation: `checkpoints/best/STAGE-000300`, without what the optimiser keeps.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Engine } from "../runtime/engine.ts";
import { checkpointBytes, finishedWeights } from "./checkpoint.ts";
import {
  type CheckpointOrigin,
  isIntact,
  listCheckpoints,
  removeCheckpoint,
  type StoredCheckpoint,
  writeCheckpoint,
} from "./checkpoint-files.ts";
import type { PartParameters } from "./parameters.ts";
import type { Parts, TrainedPart } from "./step-context.ts";

const bestFolder = (folder: string): string => join(folder, "best");

export interface BestState {
  readonly stage: string;
  readonly step: number;
  readonly origin: CheckpointOrigin;
}

/** Writes the trained parts' weights as they are; earlier ones stay until `dropOldBest`. */
export async function writeBest(engine: Engine, parts: Parts, state: BestState, folder: string): Promise<void> {
  const { origin, ...place } = state;
  await writeCheckpoint(
    bestFolder(folder),
    { ...place, finished: false, ...origin },
    checkpointBytes(engine, parts, true),
  );
}

/** Removes a stage's best weights that no checkpoint names: to be called when a checkpoint has been written. */
export async function dropOldBest(folder: string, stage: string): Promise<void> {
  const named = new Set((await listCheckpoints(folder, [stage])).map(({ state }) => state?.watch?.best?.step));
  for (const name of await readdir(bestFolder(folder)).catch(() => [])) {
    const [, of, step] = /^(.+)-(\d{6,})$/.exec(name) ?? [];
    if (of === stage && !named.has(Number(step))) await removeCheckpoint(join(bestFolder(folder), name));
  }
}

/** Undefined when the weights of that evaluation are not there, or not what was written. */
export async function findBest(folder: string, stage: string, step: number): Promise<StoredCheckpoint | undefined> {
  const found = (await listCheckpoints(bestFolder(folder), [stage])).find((best) => best.step === step);
  return found !== undefined && (await isIntact(found)) ? found : undefined;
}

/** Puts the best weights into the engine. */
export async function restoreBest(engine: Engine, parts: Parts, best: StoredCheckpoint): Promise<void> {
  for (const [name, part] of Object.entries(parts) as [TrainedPart, PartParameters][]) {
    const weights = part.trained && (await finishedWeights(best, name, part.trained.shapes));
    for (const key of weights?.shapes.keys() ?? []) {
      const data = (await weights!.load(key)) as Float32Array<ArrayBuffer>;
      await engine.pass().write(part.parameter(key), data).submit();
    }
  }
}
