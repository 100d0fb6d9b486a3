// Checkpoints on disk: written to survive a power cut, read back and verified, the newest few kept.
import { createHash } from "node:crypto";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { RunError } from "../errors.ts";
import type { ByteStream } from "../formats/byte-source.ts";
import { flushFolder, makeFolder, openFile, readJsonFile, writeFailure, writeFileAtomic } from "../formats/node.ts";

const stateSchema = z.strictObject({
  format: z.literal(1),
  stage: z.string(),
  step: z.int().min(0),
  /** all of the stage's steps are done: the file holds weights alone, which later stages start from */
  finished: z.boolean(),
  /** what decides the run's numbers (inputs.ts) */
  inputs: z.record(z.string(), z.unknown()),
  /** what computed them; another may round differently */
  machine: z.record(z.string(), z.unknown()),
  /** what the stage knew of its evaluations, where it has any (watch.ts) */
  watch: z
    .strictObject({
      step: z.int().min(0),
      best: z.strictObject({ step: z.int(), value: z.number() }).exactOptional(),
      stale: z.int().min(0),
    })
    .exactOptional(),
  /** of the weights file */
  sha256: z.string(),
});

/** Where a run stood when a checkpoint was written. */
export type CheckpointState = z.output<typeof stateSchema>;
/** What a checkpoint says of its run. */
export type CheckpointOrigin = Pick<CheckpointState, "inputs" | "machine">;
type CheckpointPlace = Pick<CheckpointState, "stage" | "step" | "finished">;

/** A checkpoint's folder. Without a state it is damaged: its small file is there and can't be believed. */
export interface StoredCheckpoint {
  readonly path: string;
  readonly stage: string;
  readonly finished: boolean;
  /** of a damaged finished one: 0 */
  readonly step: number;
  readonly state?: CheckpointState;
}

const weightsFile = "state.safetensors";
const stateFile = "state.json";
const aside = ".aside";
const namePattern = /^(.+)-(\d{6,}|finished)(?:\.aside)?$/;

/** The file of weights and moments. */
export const weightsPath = ({ path }: Pick<StoredCheckpoint, "path">): string => join(path, weightsFile);

/** `STAGE-000120`, or `STAGE-finished`. */
export function checkpointName({ stage, step, finished }: CheckpointPlace): string {
  return `${stage}-${finished ? "finished" : String(step).padStart(6, "0")}`;
}

/**
 * Writes a checkpoint: weights first, flushed, then the small state file that makes it count; then reads it back.
 * Nothing older is touched. Throws what `writeFileAtomic` throws, and `CHECKPOINT_UNREADABLE` when the disk gives
 * back other bytes.
 */
export async function writeCheckpoint(
  folder: string,
  state: Omit<CheckpointState, "format" | "sha256">,
  weights: ByteStream,
  verify = true,
): Promise<StoredCheckpoint> {
  const path = join(folder, checkpointName(state));
  await removeCheckpoint(path);
  await makeFolder(path);
  const hash = createHash("sha256");
  const chunks = hashing(weights.chunks, (chunk) => hash.update(chunk));
  await writeFileAtomic(join(path, weightsFile), { size: weights.size, chunks });
  const complete: CheckpointState = { format: 1, ...state, sha256: hash.digest("hex") };
  const sealed = { ...complete, seal: sealOf(complete) };
  await writeFileAtomic(join(path, stateFile), `${JSON.stringify(sealed, null, 2)}\n`);
  await flushFolder(folder);
  const stored = { path, ...placeOf(state), state: complete };
  if (!verify || (await isIntact(stored))) return stored;
  throw new RunError("CHECKPOINT_UNREADABLE", {
    expected: "the bytes that were written",
    got: "others",
    where: path,
    fix: "the disk or its memory is failing: go on with --resume on another one; older checkpoints were left alone",
  });
}

async function* hashing(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    see(chunk);
    yield chunk;
  }
}

const placeOf = ({ stage, step, finished }: CheckpointPlace): CheckpointPlace => ({ stage, step, finished });

/** Over the state as its file will give it back: keys in the schema's order. */
const sealOf = (state: CheckpointState): string =>
  createHash("sha256")
    .update(JSON.stringify(stateSchema.parse(state)))
    .digest("hex");

/**
 * A run's checkpoints, the furthest first. A folder without a state file was cut off while being written and does not
 * count; what was set aside and stages that the run does not have do not either.
 */
export async function listCheckpoints(folder: string, stages: readonly string[]): Promise<StoredCheckpoint[]> {
  const found: StoredCheckpoint[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const [, stage, step] = namePattern.exec(name) ?? [];
    if (stage === undefined || !stages.includes(stage) || name.endsWith(aside)) continue;
    const path = join(folder, name);
    if (!(await readdir(path).catch((): string[] => [])).includes(stateFile)) continue;
    const finished = step === "finished";
    const state = await readState(path, name);
    const place = { path, stage, finished, step: state?.step ?? (finished ? 0 : Number(step)) };
    found.push(state === undefined ? place : { ...place, state });
  }
  return found.toSorted((a, b) => placeIn(stages, b) - placeIn(stages, a));
}

/** Grows along a run. */
function placeIn(stages: readonly string[], { stage, finished, step }: StoredCheckpoint): number {
  return stages.indexOf(stage) * 1e9 + (finished ? 1e9 - 1 : step);
}

async function readState(path: string, name: string): Promise<CheckpointState | undefined> {
  try {
    const { seal, ...rest } = (await readJsonFile(join(path, stateFile))) as Record<string, unknown>;
    const state = stateSchema.parse(rest);
    return checkpointName(state) === name && sealOf(state) === seal ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the weights are the ones that were written. */
export async function isIntact({ path, state }: StoredCheckpoint): Promise<boolean> {
  if (state === undefined) return false;
  const file = await openFile(join(path, weightsFile)).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const hash = createHash("sha256");
    const piece = 2 ** 26;
    for (let offset = 0; offset < file.size; offset += piece)
      hash.update(await file.read(offset, Math.min(piece, file.size - offset)));
    return hash.digest("hex") === state.sha256;
  } catch {
    return false;
  } finally {
    await file.close();
  }
}

/**
 * Removes unfinished checkpoints up to `newest`, but for the `keep` furthest of these, and what was cut off while being
 * written. Finished stages stay: later ones build on them.
 */
export async function removeOlder(
  folder: string,
  stages: readonly string[],
  newest: StoredCheckpoint,
  keep: number,
): Promise<void> {
  const listed = await listCheckpoints(folder, stages);
  const upTo = placeIn(stages, newest);
  const older = listed.filter((each) => placeIn(stages, each) <= upTo).slice(keep);
  for (const { path } of older.filter(({ finished }) => !finished)) await removeCheckpoint(path);
  const known = new Set(listed.map(({ path }) => path));
  for (const path of await folders(folder, stages))
    if (!path.endsWith(aside) && !known.has(path)) await removeCheckpoint(path);
}

/** Takes checkpoints out of the run without destroying them: the run comes by there again. */
export async function setAside(folder: string, checkpoints: readonly StoredCheckpoint[]): Promise<void> {
  for (const { path } of checkpoints) {
    await removeCheckpoint(path + aside);
    await rename(path, path + aside).catch((cause: unknown) => {
      throw writeFailure(path, cause);
    });
  }
  if (checkpoints.length > 0) await flushFolder(folder);
}

/** At a run's end its model holds everything: only the finished stages stay. */
export async function removeUnfinished(folder: string, stages: readonly string[]): Promise<void> {
  const finished = stages.map((stage) => join(folder, checkpointName({ stage, step: 0, finished: true })));
  for (const path of await folders(folder, stages)) if (!finished.includes(path)) await removeCheckpoint(path);
}

/** All that was ever a checkpoint of these stages. */
async function folders(folder: string, stages: readonly string[]): Promise<string[]> {
  const own = (name: string): boolean => stages.includes(namePattern.exec(name)?.[1] ?? "");
  return (await readdir(folder)).filter(own).map((name) => join(folder, name));
}

/** The state first: what is half removed must not look damaged. */
export async function removeCheckpoint(path: string): Promise<void> {
  try {
    await rm(join(path, stateFile), { force: true });
    await rm(path, { recursive: true, force: true });
  } catch (cause) {
    throw writeFailure(path, cause);
  }
}
