// Runs a session with its outputs written straight into the caller's memory, where the binding lets us.
//
// onnxruntime-node 1.30.0 writes pre-allocated outputs in place and then copies each of them once more into fresh
// memory, which costs far more than the copy (new pages). If the first output is a sequence, it refuses that one
// before it has copied anything, when all outputs are already written. So every program gets a sequence as its first
// output (`leadingSequence` of graph/encode.ts) and exactly that refusal means "done". Only this file knows.
import { createRequire } from "node:module";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { BugError } from "../errors.ts";
import { add } from "../graph/build.ts";
import { encodeModel, sequenceOutput } from "../graph/encode.ts";
import { graph, input } from "../graph/graph.ts";

const knownVersion = "1.30.0";
const refusal = "Non tensor type is temporarily not supported.";

type Tensors = Readonly<Record<string, OrtTensor>>;

/** Fills the memory of `outputs`; with `zeroCopy` the model must have been encoded with a leading sequence. */
export async function runInto(
  session: InferenceSession,
  inputs: Tensors,
  outputs: Tensors,
  zeroCopy: boolean,
): Promise<void> {
  if (!zeroCopy) return runAndCopy(session, inputs, outputs);
  try {
    await session.run(inputs, { [sequenceOutput]: null, ...outputs });
  } catch (error) {
    if (error instanceof Error && error.message === refusal) return;
    throw error;
  }
  throw new BugError("ENGINE_ZERO_COPY", { expected: "the binding to refuse a sequence", got: "a result" });
}

async function runAndCopy(session: InferenceSession, inputs: Tensors, outputs: Tensors): Promise<void> {
  const results = await session.run(inputs, Object.keys(outputs));
  for (const [name, target] of Object.entries(outputs)) bytesOf(target).set(bytesOf(results[name]!));
}

function bytesOf({ data }: OrtTensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as Uint8Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Whether this binding behaves as described: its version, its exact words, and the right values in our memory. */
export async function zeroCopyWorks(options: InferenceSession.SessionOptions): Promise<boolean> {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  if (version !== knownVersion) return false;
  const x = input("x", "float32", [3]);
  const sum = add(x, x);
  const probe = graph("zero-copy probe", { sum, more: add(sum, x) });
  const session = await InferenceSession.create(encodeModel(probe, { leadingSequence: true }), options);
  const [first, second] = [new Float32Array(3), new Float32Array(5)];
  const outputs = {
    sum: new OrtTensor("float32", first, [3]),
    more: new OrtTensor("float32", second.subarray(1, 4), [3]),
  };
  try {
    await runInto(session, { x: new OrtTensor("float32", Float32Array.of(1, 2, 3), [3]) }, outputs, true);
    return first.join() === "2,4,6" && second.join() === "0,3,6,9,0";
  } catch {
    return false;
  } finally {
    await session.release();
  }
}
