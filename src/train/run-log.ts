// What is kept of a run for people: its report and TensorBoard's files. Neither can end the run.
import { join } from "node:path";
import type { TrainEvent } from "./events.ts";
import { createLiveReport, type LiveReport } from "./report/live.ts";
import { machineFacts } from "./report/machine.ts";
import { createTensorBoard } from "./tensorboard.ts";

export interface RunLogOptions {
  /** the run's folder */
  readonly folder: string;
  /** that the engine computes with */
  readonly threads: number;
  /** told once of each that cannot be written */
  readonly warn: (what: string, error: unknown) => void;
}

/** Listens to a run and keeps report.html, report.json and tensorboard/ up to date in its folder. */
export function createRunLog({ folder, threads, warn }: RunLogOptions): LiveReport {
  const report = createLiveReport({
    folder,
    machine: machineFacts(threads),
    warn: (error) => warn("the report", error),
  });
  let tensorBoard: ((event: TrainEvent) => void) | undefined = createTensorBoard(join(folder, "tensorboard"));
  return {
    show(event) {
      report.show(event);
      try {
        tensorBoard?.(event);
      } catch (error) {
        tensorBoard = undefined;
        warn("TensorBoard's files", error);
      }
    },
    finish: report.finish,
  };
}
