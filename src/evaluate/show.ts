// Figures of a score as people read them: shares in percent, points as they are, intervals behind them.
import type { Result } from "./result.ts";
import type { Interval, Intervals } from "./score.ts";
import type { Task } from "./task.ts";

/** What showing figures needs of a task. */
export type Shown = Pick<Task, "points">;

export interface FigureRow {
  readonly name: string;
  readonly value: string;
  /** "" where there is no interval */
  readonly range: string;
  /** how many questions a kind has */
  readonly n?: number;
}

/** The whole's figures, then the first figure of each kind. */
export function figureRows(task: Shown, result: Pick<Result, "kinds" | "intervals">): FigureRow[] {
  const { kinds = {}, intervals } = result;
  const ofKinds = (intervals["kinds"] ?? {}) as Readonly<Record<string, Readonly<Record<string, Interval>>>>;
  const whole = figuresOf(result).map(([name, value]) => rowOf(task, name, value, intervals[name]));
  const parts = Object.entries(kinds).map(([kind, score]): FigureRow => {
    const [name, value] = figuresOf(score)[0]!;
    return { ...rowOf(task, name, value, ofKinds[kind]?.[name]), name: `  ${kind}`, n: score.n };
  });
  return [...whole, ...parts];
}

/** Figures by name, without counts. */
export function figuresOf(score: object): [string, number][] {
  const counts = new Set(["n", "unanswered", "judgements"]);
  const values = Object.entries(score) as [string, unknown][];
  return values.filter((entry): entry is [string, number] => typeof entry[1] === "number" && !counts.has(entry[0]));
}

export function showFigure(task: Shown, name: string, value: number): string {
  if (!task.points?.includes(name)) return `${(100 * value).toFixed(1)} %`;
  return Math.abs(value) < 20 ? value.toFixed(3) : value.toFixed(1);
}

/** "70.1 to 79.2" */
export function showRange(task: Shown, name: string, interval: Intervals[string] | undefined): string {
  if (!Array.isArray(interval)) return "";
  return (interval as unknown as Interval).map((end) => showFigure(task, name, end).replace(" %", "")).join(" to ");
}

function rowOf(task: Shown, name: string, value: number, interval: Intervals[string] | undefined): FigureRow {
  return {
    name: name.replaceAll("_", " "),
    value: showFigure(task, name, value),
    range: showRange(task, name, interval),
  };
}
