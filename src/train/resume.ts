// Where a run goes on: its furthest checkpoint that is whole, with all the finished stages that it builds on.
import { InputError } from "../errors.ts";
import { adapterOf } from "./adapted-part.ts";
import { isIntact, listCheckpoints, setAside, type StoredCheckpoint } from "./checkpoint-files.ts";
import type { TrainEvent } from "./events.ts";
import { rewindSteps } from "./metrics.ts";
import type { Part, StageRecipe } from "./recipe.ts";

export interface ResumePoint {
  /** index of the stage to train next; the number of stages when all are done */
  readonly stage: number;
  /** an unfinished checkpoint of that stage */
  readonly from?: StoredCheckpoint;
  /** finished stages that weights come from, the earliest first */
  readonly bases: readonly StoredCheckpoint[];
}

export interface ResumeOptions {
  /** of checkpoints */
  readonly folder: string;
  /** files with a line a step */
  readonly logs: readonly string[];
  readonly stages: readonly StageRecipe[];
  readonly emit: (event: TrainEvent) => void;
}

/**
 * Finds the point and takes what lies beyond out of the run: checkpoints are set aside, later lines of the logs
 * dropped. Damaged checkpoints are told about; throws `RESUME_DAMAGED` when all that there are are damaged.
 */
export async function resumePoint({ folder, logs, stages, emit }: ResumeOptions): Promise<ResumePoint> {
  const names = stages.map(({ name }) => name);
  const all = await listCheckpoints(folder, names);
  const { chosen, bases, damaged } = await furthest(all, stages);
  if (chosen === undefined && damaged.length > 0) {
    throw new InputError("RESUME_DAMAGED", {
      expected: "at least one whole checkpoint",
      got: `damaged ones alone (${damaged.map(({ path }) => path).join(", ")})`,
      where: folder,
      fix: "start again in another output folder",
    });
  }
  for (const { path } of damaged) emit({ type: "fallback", checkpoint: path, instead: chosen!.path });
  const at = chosen === undefined ? -1 : names.indexOf(chosen.stage);
  await setAside(folder, chosen === undefined ? [] : all.slice(0, all.indexOf(chosen)));
  for (const log of logs) {
    await rewindSteps(log, ({ stage, step, evaluation }) => {
      const index = names.indexOf(stage);
      // an evaluation may have followed the checkpoint of its step
      const last = evaluation ? (chosen?.state?.watch?.step ?? 0) : chosen?.step;
      return index < at || (index === at && step <= last!);
    });
  }
  if (chosen === undefined) return { stage: 0, bases };
  return chosen.finished ? { stage: at + 1, bases: [...bases, chosen] } : { stage: at, bases, from: chosen };
}

interface Search {
  readonly chosen?: StoredCheckpoint;
  readonly bases: readonly StoredCheckpoint[];
  /** what was passed over on the way */
  readonly damaged: readonly StoredCheckpoint[];
}

/** The first of `all` (furthest first) that is whole together with its bases. */
async function furthest(all: readonly StoredCheckpoint[], stages: readonly StageRecipe[]): Promise<Search> {
  const damaged = new Set<StoredCheckpoint>();
  const whole = new Set<StoredCheckpoint>();
  const isWhole = async (checkpoint: StoredCheckpoint): Promise<boolean> => {
    if (!whole.has(checkpoint) && !damaged.has(checkpoint))
      ((await isIntact(checkpoint)) ? whole : damaged).add(checkpoint);
    return whole.has(checkpoint);
  };
  for (const chosen of all) {
    if (!(await isWhole(chosen))) continue;
    const bases = basesOf(chosen, stages).map((stage) => all.find((each) => each.finished && each.stage === stage));
    const present = bases.filter((base) => base !== undefined);
    for (const base of present) await isWhole(base);
    if (present.length === bases.length && present.every((base) => whole.has(base))) {
      return { chosen, bases: present, damaged: [...damaged] };
    }
  }
  return { bases: [], damaged: [...damaged] };
}

/** The finished stages a checkpoint takes weights from: for each part it does not hold, the last that trained it. */
function basesOf({ stage }: StoredCheckpoint, stages: readonly StageRecipe[]): string[] {
  const index = stages.findIndex(({ name }) => name === stage);
  // an adapter stands on what its part was before
  const whole = (of: StageRecipe): Part[] => of.train.filter((part) => adapterOf(part, of) === undefined);
  const held = new Set(whole(stages[index]!));
  const bases: string[] = [];
  for (const earlier of stages.slice(0, index).toReversed()) {
    if (earlier.train.some((part) => !held.has(part))) bases.unshift(earlier.name);
    whole(earlier).forEach((part) => held.add(part));
  }
  return bases;
}
