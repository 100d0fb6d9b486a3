// Checkpoints of a stage: trained weights with what the optimiser keeps of them, and where the run stood.
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { openFile, readJsonFile, writeFileAtomic } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import type { PartWeights } from "../models/weights.ts";
import { type Engine, type EngineBuffer, download } from "../runtime/engine.ts";
import type { PartParameters } from "./parameters.ts";
import type { Parts, TrainedPart } from "./step-context.ts";
import type { WatchState } from "./watch.ts";

/** Where a run stood when a checkpoint was written. */
export interface CheckpointState {
  readonly stage: string;
  readonly step: number;
  /** all of the stage's steps are done: the file holds weights alone */
  readonly finished: boolean;
  /** of everything that decides the run's numbers: a resume with another recipe or other data is refused */
  readonly fingerprint: string;
  /** what the stage knew of its evaluations, where it has any */
  readonly watch?: WatchState;
  /** SHA-256 of the weights file */
  readonly sha256: string;
}

const weightsFile = "state.safetensors";
const stateFile = "state.json";

/** `checkpoints/STAGE-000120`, or `checkpoints/STAGE-finished`. */
export function checkpointName({
  stage,
  step,
  finished,
}: Pick<CheckpointState, "stage" | "step" | "finished">): string {
  return `${stage}-${finished ? "finished" : String(step).padStart(6, "0")}`;
}

/** Writes a checkpoint. Older checkpoints of the stage are removed only after this one is complete on disk. */
export async function writeCheckpoint(
  engine: Engine,
  parts: Parts,
  state: Omit<CheckpointState, "sha256">,
  folder: string,
): Promise<void> {
  await writeState(engine, parts, state, join(folder, checkpointName(state)));
  await removeOlder(folder, state);
}

/** Weights first, flushed, then the small state file that makes them count. */
export async function writeState(
  engine: Engine,
  parts: Parts,
  state: Omit<CheckpointState, "sha256">,
  target: string,
): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const hash = createHash("sha256");
  const stream = encodeSafetensors(entries(engine, parts, state.finished));
  await writeFileAtomic(join(target, weightsFile), {
    size: stream.size,
    chunks: hashing(stream.chunks, (chunk) => hash.update(chunk)),
  });
  const complete: CheckpointState = { ...state, sha256: hash.digest("hex") };
  await writeFileAtomic(join(target, stateFile), `${JSON.stringify(complete, null, 2)}\n`);
}

async function* hashing(
  chunks: AsyncIterable<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    see(chunk);
    yield chunk;
  }
}

function entries(engine: Engine, parts: Parts, weightsOnly: boolean): SafetensorsEntry[] {
  const all: SafetensorsEntry[] = [];
  for (const [part, parameters] of Object.entries(parts) as [TrainedPart, PartParameters][]) {
    if (!parameters.trained) continue;
    for (const name of parameters.trained.shapes.keys()) {
      const add = (suffix: string, buffer: EngineBuffer<"float32" | "uint8">): void =>
        void all.push({
          name: `${part}.${name}${suffix}`,
          dtype: buffer.dtype === "float32" ? "F32" : "U8",
          shape: buffer.shape,
          data: async () => (await download(engine, buffer)).data,
        });
      const { parameter, state } = parameters.trained.state(name);
      add("", parameter);
      if (weightsOnly) continue;
      for (const [array, buffer] of Object.entries(state)) add(`#${array}`, buffer);
    }
  }
  return all;
}

async function removeOlder(
  folder: string,
  { stage, step, finished }: Pick<CheckpointState, "stage" | "step" | "finished">,
): Promise<void> {
  for (const name of await readdir(folder)) {
    const older = new RegExp(`^${stage}-(\\d{6})$`).exec(name);
    if (older && (finished || Number(older[1]) < step)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** A checkpoint on disk whose state file is there. */
export interface StoredCheckpoint extends CheckpointState {
  readonly path: string;
}

/** Complete checkpoints of a run; a folder without its state file was cut off while being written and does not count. */
export async function listCheckpoints(folder: string): Promise<StoredCheckpoint[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const state = (await readJsonFile(join(path, stateFile)).catch(() => undefined)) as CheckpointState | undefined;
      return state === undefined ? [] : [{ ...state, path }];
    }),
  );
  return found.flat();
}

/** Whether the weights are the ones that were written. */
export async function isIntact({ path, sha256 }: StoredCheckpoint): Promise<boolean> {
  const file = await openFile(join(path, weightsFile)).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const hash = createHash("sha256");
    const piece = 2 ** 26;
    for (let offset = 0; offset < file.size; offset += piece)
      hash.update(await file.read(offset, Math.min(piece, file.size - offset)));
    return hash.digest("hex") === sha256;
  } finally {
    await file.close();
  }
}

/** A part's weights as a finished stage left them, those that it trained; undefined when it trained none. */
export async function finishedWeights(
  checkpoint: StoredCheckpoint,
  part: TrainedPart,
  shapes: PartWeights["shapes"],
): Promise<PartWeights | undefined> {
  const key = (name: string): string => `${part}.${name}`;
  const trained = await withWeights(checkpoint, ({ tensors }) =>
    Promise.resolve(new Map([...shapes].filter(([name]) => tensors.has(key(name))))),
  );
  if (trained.size === 0) return undefined;
  return { shapes: trained, load: (name) => withWeights(checkpoint, (file) => file.loadFloat32(key(name))) };
}

/** Puts weights and optimiser state of an unfinished stage back into the engine. */
export async function restoreCheckpoint(engine: Engine, parts: Parts, checkpoint: StoredCheckpoint): Promise<void> {
  await withWeights(checkpoint, async (file) => {
    for (const [part, parameters] of Object.entries(parts) as [TrainedPart, PartParameters][]) {
      if (!parameters.trained) continue;
      for (const name of parameters.trained.shapes.keys()) {
        const { parameter, state } = parameters.trained.state(name);
        const pass = engine.pass().write(parameter, await file.loadFloat32(`${part}.${name}`));
        for (const [array, buffer] of Object.entries(state)) {
          const stored = `${part}.${name}#${array}`;
          if (buffer.dtype === "float32") pass.write(buffer, await file.loadFloat32(stored));
          else pass.write(buffer, (await file.load(stored)).bytes);
        }
        await pass.submit();
      }
    }
  });
}

async function withWeights<T>(
  checkpoint: StoredCheckpoint,
  use: (file: Awaited<ReturnType<typeof readSafetensors>>) => Promise<T>,
): Promise<T> {
  const source = await openFile(join(checkpoint.path, weightsFile));
  try {
    return await use(await readSafetensors(source));
  } finally {
    await source.close();
  }
}

/** Refuses to go on with another recipe or other data. */
export function checkFingerprint(checkpoint: StoredCheckpoint, fingerprint: string): void {
  if (checkpoint.fingerprint === fingerprint) return;
  throw new InputError("RESUME_CHANGED", {
    expected: "the recipe, data and base models that the run started with",
    got: "something that changed since",
    where: checkpoint.path,
    fix: "undo the change, or start again in another output folder",
  });
}
