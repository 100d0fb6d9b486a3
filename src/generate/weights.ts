// Language weights on their way into the engine.
import type { PartWeights } from "../models/weights.ts";
import type { Engine, EngineBuffer } from "../runtime/engine.ts";

/** A part's weights in the engine. */
export interface UploadedWeights {
  readonly parameter: (name: string) => EngineBuffer<"float32">;
  release(): void;
}

/** Loads a part's weights one by one, as float32; `onProgress` is told how many of them are there. */
export async function uploadWeights(
  engine: Engine,
  weights: PartWeights,
  onProgress?: (done: number, total: number) => void,
): Promise<UploadedWeights> {
  const buffers = new Map<string, EngineBuffer<"float32">>();
  // the next weight is read and converted while the last one is on its way
  let last: Promise<unknown> = Promise.resolve();
  for (const [name, shape] of weights.shapes) {
    const data = (await weights.load(name)) as Float32Array<ArrayBuffer>;
    const buffer = engine.allocate("float32", shape);
    buffers.set(name, buffer);
    await last;
    last = engine.pass().write(buffer, data).submit();
    last.catch(() => {});
    onProgress?.(buffers.size, weights.shapes.size);
  }
  await last;
  return {
    parameter: (name) => buffers.get(name)!,
    release: () => {
      for (const buffer of buffers.values()) engine.free(buffer);
    },
  };
}
