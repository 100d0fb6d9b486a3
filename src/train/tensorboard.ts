// TensorBoard's event files: a folder a stage, which it shows as runs on one axis of steps.
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ProtoWriter } from "../formats/protobuf.ts";
import { encodeTfRecord } from "../formats/tfrecord.ts";
import type { TrainEvent } from "./events.ts";
import type { EvaluationMetrics, StepMetrics } from "./metrics.ts";

// field numbers: tensorboard/compat/proto/event.proto and summary.proto
const event = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const summary = { value: 1 } as const;
const value = { tag: 1, simpleValue: 2 } as const;
const sessionLog = { status: 1, start: 1 } as const;

/** A tag with its value at one step. */
type Scalars = Readonly<Record<string, number>>;

/** Encodes one event as a TFRecord; `seconds` since 1970. */
function encodeEvent(seconds: number, write: (event: ProtoWriter) => void): Uint8Array {
  const message = new ProtoWriter().double(event.wallTime, seconds);
  write(message);
  return encodeTfRecord(message.finish());
}

/** The first record of every file. */
export function encodeVersion(seconds: number): Uint8Array {
  return encodeEvent(seconds, (message) => message.string(event.fileVersion, "brain.Event:2"));
}

/** Says that steps from `step` on are made anew: TensorBoard forgets those that it knows. */
export function encodeRestart(seconds: number, step: number): Uint8Array {
  return encodeEvent(seconds, (message) =>
    message
      .varint(event.step, step)
      .message(event.sessionLog, (log) => log.varint(sessionLog.status, sessionLog.start)),
  );
}

export function encodeScalars(seconds: number, step: number, scalars: Scalars): Uint8Array {
  return encodeEvent(seconds, (message) =>
    message.varint(event.step, step).message(event.summary, (list) => {
      for (const [tag, scalar] of Object.entries(scalars)) {
        list.message(summary.value, (one) => one.string(value.tag, tag).float(value.simpleValue, scalar));
      }
    }),
  );
}

/**
 * A listener that appends a run's figures to files below `folder`; each start of a stage begins a new file, so that
 * what a kill has torn off is never written behind. Throws what the file system throws.
 */
export function createTensorBoard(folder: string, now: () => number = Date.now): (event: TrainEvent) => void {
  let file: string | undefined;
  const append = (record: Uint8Array): void => {
    if (file !== undefined) appendFileSync(file, record);
  };
  return (event) => {
    const seconds = now() / 1000;
    if (event.type === "stage") {
      const home = join(folder, event.stage);
      mkdirSync(home, { recursive: true });
      // TensorBoard reads the files of a folder in the order of their names
      file = join(home, `events.out.tfevents.${seconds.toFixed(3).padStart(14, "0")}.${process.pid}`);
      append(encodeVersion(seconds));
      if (event.from > 1) append(encodeRestart(seconds, event.from));
    } else if (event.type === "step") append(encodeScalars(seconds, event.metrics.step, scalarsOf(event.metrics)));
    else if (event.type === "evaluation") append(encodeScalars(seconds, event.metrics.step, foundBy(event.metrics)));
  };
}

function scalarsOf({ loss, grad_norm, learning_rates, tokens, seconds }: StepMetrics): Scalars {
  const rates = Object.entries(learning_rates).map(([part, rate]) => [`learning_rate/${part}`, rate]);
  return { loss, grad_norm, ...Object.fromEntries(rates), tokens_per_second: tokens / seconds };
}

function foundBy({ held_out_loss, score }: EvaluationMetrics): Scalars {
  return {
    ...(held_out_loss !== undefined && { held_out_loss }),
    ...(score !== undefined && { [`${score.figure ?? "accuracy"}/${score.task}`]: score.accuracy }),
  };
}
