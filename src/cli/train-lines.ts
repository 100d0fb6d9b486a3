// The live view of a stage as lines: how far it is, its losses as a plot, its figures, a sample answer.
import { shareName } from "../train/metrics.ts";
import { grouped, showBytes, showSeconds } from "./output.ts";
import { plot } from "./plot.ts";
import type { Line, Piece } from "./screen.ts";
import type { StageState } from "./train-state.ts";

export interface LinesOptions {
  /** of the terminal */
  readonly columns: number;
  readonly rows: number;
  /** bytes that the process holds now */
  readonly memory: number;
}

/** wider plots say no more */
const WIDEST = 100;
const [LOWEST_PLOT, HIGHEST_PLOT] = [3, 10];
/** rows that the view takes beside the plot, with one for the cursor and some of what was before */
const BESIDE_PLOT = 10;

export function trainLines(state: StageState, { columns, rows, memory }: LinesOptions): Line[] {
  const width = Math.min(columns - 1, WIDEST);
  const height = Math.min(HIGHEST_PLOT, rows - BESIDE_PLOT);
  const plotted = height >= LOWEST_PLOT && width >= 30 ? plotLines(state, width, height) : [];
  return [headline(state), ...plotted, losses(state), pace(state, memory), ...sample(state)].filter(
    (line) => line.length > 0,
  );
}

function headline({ stage, number, of, steps, last, from, activity, secondsLeft }: StageState): Line {
  const step = last?.step ?? from - 1;
  const left = secondsLeft === undefined ? "" : `   ${showSeconds(secondsLeft)} left`;
  return [
    { text: stage, style: "bold" },
    ...(of > 1 ? [{ text: `   stage ${number} of ${of}`, style: "dim" } as const] : []),
    { text: `   step ${grouped(step)} of ${grouped(steps)} (${Math.floor((100 * step) / steps)} %)${left}` },
    ...(activity === undefined ? [] : [{ text: `   ${activity}`, style: "dim" } as const]),
  ];
}

function plotLines({ losses, evaluations, from }: StageState, width: number, height: number): Line[] {
  const marks = evaluations.flatMap(({ step, held_out_loss: value }) =>
    value === undefined ? [] : [{ at: step - from + 1, value }],
  );
  const rows = plot(losses, { width, height, marks }).map(({ label, cells }): Line => {
    const pieces: Piece[] = [{ text: `${label} `, style: "dim" }];
    for (const { text, marked } of cells) {
      const style = marked ? "mark" : "line";
      const last = pieces.at(-1)!;
      if (last.style === style) pieces[pieces.length - 1] = { text: last.text + text, style };
      else pieces.push({ text, style });
    }
    return pieces;
  });
  const [first, end] = [`step ${grouped(from)}`, grouped(from + Math.max(0, losses.length - 1))];
  const axis = `       ${first}${end.padStart(Math.max(1, width - 7 - first.length))}`;
  return [...rows, [{ text: axis, style: "dim" }]];
}

/** The running loss, and what evaluations found. */
function losses({ losses: all, evaluations }: StageState): Line {
  if (all.length === 0) return [];
  const recent = all.slice(-Math.max(1, Math.round(all.length / 20)));
  const loss = recent.reduce((sum, one) => sum + one, 0) / recent.length;
  const heldOut = evaluations.filter(({ held_out_loss }) => held_out_loss !== undefined);
  const best = evaluations.findLast((one) => one.best);
  const score = evaluations.findLast((one) => one.score !== undefined)?.score;
  return [
    { text: `loss ${loss.toFixed(3)}`, style: "line" },
    ...(heldOut.length === 0
      ? []
      : [{ text: `   ◆ held-out ${heldOut.at(-1)!.held_out_loss!.toFixed(3)}`, style: "mark" } as const]),
    ...(best?.held_out_loss === undefined
      ? []
      : [{ text: ` (best ${best.held_out_loss.toFixed(3)} at step ${grouped(best.step)})`, style: "dim" } as const]),
    ...(score === undefined
      ? []
      : [
          {
            text: `   ${score.task} ${(100 * score.accuracy).toFixed(1)} % ${score.figure === undefined ? "right" : shareName(score)}`,
          },
        ]),
  ];
}

function pace({ last }: StageState, memory: number): Line {
  const held = `memory ${showBytes(memory)}`;
  if (last === undefined) return [{ text: `compiling   ${held}`, style: "dim" }];
  const { tokens, seconds, learning_rate, grad_norm } = last;
  const figures = [
    `${grouped(Math.round(tokens / seconds))} tokens/s`,
    `${seconds.toPrecision(2)} s a step`,
    `learning rate ${learning_rate < 1e-3 ? learning_rate.toExponential(1) : learning_rate.toPrecision(2)}`,
    `gradient norm ${grad_norm.toPrecision(2)}`,
    held,
  ];
  return [{ text: figures.join("   "), style: "dim" }];
}

function sample({ sample: shown }: StageState): Line[] {
  if (shown === undefined) return [];
  const { question, answer, expected } = shown;
  return [
    [{ text: "asked  ", style: "dim" }, { text: question }],
    [{ text: "says   ", style: "dim" }, { text: answer === "" ? "(nothing)" : answer }],
    [
      { text: "data   ", style: "dim" },
      { text: expected, style: "good" },
    ],
  ];
}
