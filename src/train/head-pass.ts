// The head of a micro-batch: loss of the trained rows and where their gradients go.
import { finalNormName, headName } from "../models/llama.ts";
import type { EngineBuffer, Pass } from "../runtime/engine.ts";
import type { MicroBatch } from "./micro-batch.ts";
import type { StepContext } from "./step-context.ts";
import type { HeadSpace, Workspace } from "./workspace.ts";

/** Trained rows that go through the head at once; their logits and probabilities are [M, V] float32. */
export const mostHeadRows = 256;
const headRowStep = 64;

export interface HeadChunk {
  /** padded to a program's size with -1 */
  readonly targetRows: Int32Array<ArrayBuffer>;
  readonly targetIds: Int32Array<ArrayBuffer>;
  readonly count: number;
  readonly weight: number;
}

/** Trained rows in as few programs as memory allows, padded to a multiple of `headRowStep`. */
export function headChunks(batch: MicroBatch, weight: number): HeadChunk[] {
  const chunks: HeadChunk[] = [];
  for (let start = 0; start < batch.targetRows.length; start += mostHeadRows) {
    const count = Math.min(mostHeadRows, batch.targetRows.length - start);
    const size = Math.ceil(count / headRowStep) * headRowStep;
    const padded = (ids: Int32Array): Int32Array<ArrayBuffer> => {
      const all = new Int32Array(size).fill(-1);
      all.set(ids.subarray(start, start + count));
      return all;
    };
    chunks.push({ targetRows: padded(batch.targetRows), targetIds: padded(batch.targetIds), count, weight });
  }
  return chunks;
}

/** Loss of the trained rows; with `learn`, the gradient of the last layer's output in `dx[0]` and the head's own gradients. */
export async function runHead(
  context: StepContext,
  pass: Pass,
  space: Workspace,
  chunks: readonly HeadChunk[],
  learn: boolean,
): Promise<(results: Record<string, { data: unknown }>) => number> {
  const { config, parts, programs } = context;
  const language = parts.language;
  const [last, dlast] = [space.x.at(-1)!, space.dx[0]];
  const [norm, output] = [language.parameter(finalNormName), language.parameter(headName(config.language))];
  if (learn) pass.call({ kernel: "fill", buffer: dlast, value: 0 });
  for (const [i, chunk] of chunks.entries()) {
    const head = context.head(chunk.targetRows.length);
    const labels = chunk.targetIds.map((id) => Math.max(id, 0));
    const scale = Float32Array.from(chunk.targetIds, (id) => (id < 0 ? 0 : chunk.weight));
    pass
      .write(head.targetRows, chunk.targetRows)
      .write(head.targetIds, chunk.targetIds)
      .write(head.labels, labels)
      .write(head.scale, scale)
      .call({ kernel: "gatherRows", table: last, ids: head.targetRows, into: head.hidden });
    const inputs = { hidden: head.hidden, norm, output, labels: head.labels, ...(learn ? { scale: head.scale } : {}) };
    const graphs = programs.head(chunk.targetRows.length);
    if (!learn) pass.run(await graphs.evaluate(), inputs, { loss: head.loss });
    else if (!language.trained?.shapes.has(finalNormName))
      pass.run(await graphs.through(), inputs, { loss: head.loss, dhidden: head.dhidden });
    else await learnHead(context, pass, head, inputs);
    if (learn) pass.call({ kernel: "scatterAddRows", table: dlast, ids: head.targetRows, from: head.dhidden });
    pass.read(`loss ${i}`, head.loss);
  }
  return (results) =>
    chunks.reduce((sum, chunk, i) => {
      const losses = results[`loss ${i}`]!.data as Float32Array;
      return sum + losses.subarray(0, chunk.count).reduce((total, x) => total + x, 0) * chunk.weight;
    }, 0);
}

async function learnHead(
  context: StepContext,
  pass: Pass,
  head: HeadSpace,
  inputs: Readonly<Record<string, EngineBuffer>>,
): Promise<void> {
  const { config, parts, programs } = context;
  const state = parts.language.trained!.state;
  const output = state(headName(config.language)).gradient;
  const grads = { "grad.norm": state(finalNormName).gradient, "grad.output": output };
  if (!context.summed.has("head"))
    for (const buffer of Object.values(grads)) pass.call({ kernel: "fill", buffer, value: 0 });
  const sums = { "sum.norm": grads["grad.norm"], "sum.output": output };
  pass
    .run(
      await programs.head(head.hidden.shape[0]!).backward(),
      { ...inputs, ...sums },
      { loss: head.loss, dhidden: head.dhidden, labelRows: head.labelRows, ...grads },
    )
    .call({ kernel: "scatterAddRows", table: output, ids: head.targetIds, from: head.labelRows, factor: -1 });
  context.summed.add("head");
}
