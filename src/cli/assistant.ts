// Opens the model that a verb answers with: the engine started, weights loaded with progress, closed at the end.
import type { Assistant } from "../generate/assistant.ts";
import type { WeightForm } from "../generate/block-files-node.ts";
import { openAssistant } from "../generate/node.ts";
import { createEngine } from "../runtime/node.ts";
import { type Progress, startProgress } from "./progress.ts";

export interface ModelOptions {
  readonly template?: string | undefined;
  readonly adapter?: string | undefined;
  readonly weights?: WeightForm | undefined;
  readonly threads?: number | undefined;
}

/** Runs `work` with the model at `path` loaded. */
export async function withAssistant<T>(
  path: string,
  { template, adapter, weights, threads }: ModelOptions,
  work: (assistant: Assistant) => Promise<T>,
): Promise<T> {
  const engine = await createEngine(threads === undefined ? {} : { threads });
  let progress: Progress | undefined;
  try {
    const onProgress = (done: number, total: number): void => {
      progress ??= startProgress({ label: "loading", unit: "tensors", total });
      progress.update(done);
    };
    const assistant = await openAssistant(path, { engine, template, adapter, weights, onProgress });
    progress?.finish();
    return await work(assistant);
  } finally {
    await engine.close();
  }
}
