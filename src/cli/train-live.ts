// The live view of a training run on a terminal: redrawn in place; what is not a step is told in lines above it.
import type { TrainEvent } from "../train/events.ts";
import { grouped, showSeconds } from "./output.ts";
import { log, pin } from "./progress.ts";
import { createScreen, type Screen, type Terminal } from "./screen.ts";
import { trainLines } from "./train-lines.ts";
import { followTraining, type StageState } from "./train-state.ts";
import { createTrainView, type TrainView } from "./train-view.ts";

const REDRAW_MS = 100;
/** Memory and time go on between two steps. */
const TICK_MS = 1_000;

/** A terminal that tells when its size changes. */
interface ResizableTerminal extends Terminal {
  readonly isTTY?: boolean;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}

export interface ViewOptions {
  /** lines also on a terminal */
  readonly plain?: boolean;
  readonly terminal?: ResizableTerminal;
}

/** The live view where stderr is a terminal that can move its cursor, plain lines elsewhere. */
export function chooseTrainView({ plain = false, terminal = process.stderr }: ViewOptions = {}): TrainView {
  const live = terminal.isTTY === true && process.env["TERM"] !== "dumb" && !plain;
  return live ? createLiveView(terminal) : createTrainView();
}

function createLiveView(terminal: ResizableTerminal): TrainView {
  const screen = createScreen(terminal, (process.env["NO_COLOR"] ?? "") === "");
  const follow = followTraining(() => performance.now());
  const lines = createTrainView();
  let stage: StageState | undefined;
  let drawnAt = 0;
  let detach: (() => void) | undefined;

  const draw = (): void => {
    if (stage === undefined) return;
    drawnAt = performance.now();
    const { columns = 80, rows = 24 } = terminal;
    screen.draw(trainLines(stage, { columns, rows, memory: process.memoryUsage.rss() }));
  };
  const close = (): void => {
    detach?.();
    if (detach !== undefined) screen.erase();
    detach = undefined;
  };
  return {
    show(event) {
      const before = stage;
      stage = follow(event);
      if (stage === undefined) {
        close();
        if (before?.last !== undefined) log(ending(before));
      }
      if (isTold(event, stage)) lines.show(event);
      if (stage === undefined) return;
      detach ??= attach(terminal, screen, draw);
      if (event.type !== "step" || performance.now() - drawnAt >= REDRAW_MS) draw();
    },
    finish() {
      stage = undefined;
      close();
      lines.finish();
    },
  };
}

/** Redraws as time goes on, when the size changes, around lines that are logged; returns what ends that. */
function attach(terminal: ResizableTerminal, screen: Screen, draw: () => void): () => void {
  // after a stop and `fg`, the shell has written below our lines
  const onContinue = (): void => {
    screen.forget();
    draw();
  };
  const timer = setInterval(draw, TICK_MS).unref();
  terminal.on?.("resize", draw);
  process.on("SIGCONT", onContinue);
  pin({ erase: screen.erase, redraw: draw });
  return () => {
    clearInterval(timer);
    terminal.off?.("resize", draw);
    process.off("SIGCONT", onContinue);
    pin(undefined);
  };
}

/** Steps and evaluations are in the view already. */
function isTold({ type }: TrainEvent, stage: StageState | undefined): boolean {
  return stage === undefined || (type !== "step" && type !== "evaluating");
}

/** "align   132 steps in 3 min 40 s   loss 5.57 → 2.31" */
function ending({ stage, losses, last, from, evaluations }: StageState): string {
  const seconds = evaluations.reduce((sum, one) => sum + one.seconds, 0);
  const width = Math.max(1, Math.round(losses.length / 20));
  const mean = (part: readonly number[]): string =>
    (part.reduce((sum, loss) => sum + loss, 0) / part.length).toFixed(3);
  const done = `${grouped((last?.step ?? 0) - from + 1)} steps`;
  const evaluated = seconds > 0 ? ` and ${showSeconds(seconds)} of evaluations` : "";
  return `${stage}   ${done}${evaluated}   loss ${mean(losses.slice(0, width))} → ${mean(losses.slice(-width))}`;
}
