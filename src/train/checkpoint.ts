// What a checkpoint holds: trained weights with what the optimiser keeps of them, out of the engine and back into it.
import { RunError } from "../errors.ts";
import type { ByteStream } from "../formats/byte-source.ts";
import { openFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import type { PartWeights } from "../models/weights.ts";
import { type Engine, type EngineBuffer, download } from "../runtime/engine.ts";
import { type StoredCheckpoint, weightsPath } from "./checkpoint-files.ts";
import type { PartParameters } from "./parameters.ts";
import type { Parts, TrainedPart } from "./step-context.ts";

/** The bytes of a checkpoint. Throws `CHECKPOINT_NOT_FINITE` while they are read when a number is not finite. */
export function checkpointBytes(engine: Engine, parts: Parts, weightsOnly: boolean): ByteStream {
  return encodeSafetensors(entries(engine, parts, weightsOnly));
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
          data: async () => finite((await download(engine, buffer)).data, `${part}.${name}${suffix}`),
        });
      const { parameter, state } = parameters.trained.state(name);
      add("", parameter);
      if (weightsOnly) continue;
      for (const [array, buffer] of Object.entries(state)) add(`#${array}`, buffer);
    }
  }
  return all;
}

function finite<T>(values: T, name: string): T {
  if (!(values instanceof Float32Array)) return values;
  // x - x is 0 for every finite x, and NaN for all others
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! - values[i]!;
  if (sum === 0) return values;
  throw new RunError("CHECKPOINT_NOT_FINITE", {
    expected: "finite weights",
    got: String(values.find((x) => !Number.isFinite(x))),
    where: name,
    fix: "start again with a lower learning_rate; earlier checkpoints were left alone",
  });
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
  const source = await openFile(weightsPath(checkpoint));
  try {
    return await use(await readSafetensors(source));
  } finally {
    await source.close();
  }
}
