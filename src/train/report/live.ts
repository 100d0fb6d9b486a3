// Keeps a run's report up to date while it goes on: at checkpoints, at evaluations, and every minute.
import type { TrainEvent } from "../events.ts";
import type { SampleAnswer } from "../metrics.ts";
import type { Fact, RunState } from "./data.ts";
import { peakMemory } from "./machine.ts";
import { readRecord, type RunRecord, writeRecord } from "./record.ts";
import { thumbnailShelf } from "../../image/thumbnails-node.ts";
import { writeReport } from "./write.ts";

export interface LiveReportOptions {
  /** of the run */
  readonly folder: string;
  readonly machine: readonly Fact[];
  /** told once when a report cannot be written: a run is worth more than its report */
  readonly warn: (error: unknown) => void;
  readonly now?: () => number;
}

export interface LiveReport {
  show(event: TrainEvent): void;
  /** The last state, and what the finished model says; resolves when it is written. */
  finish(state: RunState, answers?: readonly SampleAnswer[]): Promise<void>;
}

const EVERY_MS = 60_000;
/** Reports of long runs take longer to write: never more than a fiftieth of the time. */
const SHARE = 50;
const moments: readonly TrainEvent["type"][] = ["stage", "evaluation", "checkpoint", "interrupted", "saved"];

type Recorded = Omit<RunRecord, "updated" | "peak_bytes">;

/** Listens to a run; nothing is written before its first stage begins. */
export function createLiveReport(options: LiveReportOptions): LiveReport {
  const { now = Date.now } = options;
  let record: Recorded = { state: "running", stages: [], masks: [], answers: [], facts: [...options.machine] };
  const write = createWriter(options, () => record);
  let [working, waiting]: [Promise<void> | undefined, boolean] = [undefined, false];
  let dueAt = 0;
  /** one write at a time; what happens meanwhile is in the next */
  const request = (): void => {
    if (waiting) return;
    waiting = true;
    working = (working ?? Promise.resolve()).then(async () => {
      waiting = false;
      const started = now();
      dueAt = started + EVERY_MS;
      await write(started);
      dueAt = Math.max(dueAt, now() + SHARE * (now() - started));
    });
  };
  return {
    show(event) {
      if (event.type === "checked") record = withStage(record, event);
      if (moments.includes(event.type) || (event.type === "step" && now() >= dueAt)) request();
    },
    async finish(state, answers) {
      record = { ...record, state, ...(answers !== undefined && { answers: [...answers] }) };
      // a run that was refused has no folder
      if (working !== undefined) request();
      await working;
    },
  };
}

function withStage(record: Recorded, { stage, sums, masks }: Extract<TrainEvent, { type: "checked" }>): Recorded {
  const previews = masks.map((mask) => ({ ...mask, pieces: [...mask.pieces] }));
  return {
    ...record,
    stages: [...record.stages, { name: stage, sums: { ...sums } }],
    masks: [...record.masks, ...previews],
  };
}

/** Writes report.json and report.html; never fails. */
function createWriter({ folder, warn }: LiveReportOptions, record: () => Recorded): (at: number) => Promise<void> {
  const thumbnails = thumbnailShelf();
  let warned = false;
  let earlierPeak: number | undefined;
  return async (at) => {
    try {
      // a run that goes on keeps the peak of what came before
      earlierPeak ??= (await readRecord(folder).catch(() => undefined))?.peak_bytes ?? 0;
      const peak_bytes = Math.max(earlierPeak, peakMemory());
      await writeRecord(folder, { ...record(), updated: new Date(at).toISOString(), peak_bytes });
      await writeReport(folder, thumbnails);
    } catch (error) {
      if (!warned) warn(error);
      warned = true;
    }
  };
}
