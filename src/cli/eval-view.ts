// Scores and comparisons as a person reads them.
import type { JudgeScore } from "../evaluate/judge/score.ts";
import type { Comparison, Result } from "../evaluate/result.ts";
import { figureRows, figuresOf, showFigure, showRange } from "../evaluate/show.ts";
import type { Task } from "../evaluate/task.ts";
import { table } from "./output.ts";

/** Figures under each other with their intervals; shares in percent, kinds as rows of their own. */
export function describeResult(task: Task, result: Result): string {
  const rows = figureRows(task, result).map(({ name, value, range, n }) => [
    name,
    value,
    range,
    n === undefined ? "" : `of ${n}`,
  ]);
  const { n, unanswered } = result;
  const lacking = unanswered === undefined ? [] : [["unanswered", String(unanswered), "counted as wrong"]];
  return table([["task", task.name], ["n", String(n)], ...rows, ...lacking]);
}

/** Both scores and their difference side by side. */
export function describeComparison(task: Task, comparison: Comparison, names = ["first", "second"]): string {
  const { first, second, difference, intervals, n, better, worse, same } = comparison;
  const [after, less] = [new Map(figuresOf(second)), new Map(figuresOf(difference))];
  const rows = figuresOf(first).map(([name, value]) => {
    const change = less.get(name) ?? 0;
    return [
      name.replaceAll("_", " "),
      showFigure(task, name, value),
      showFigure(task, name, after.get(name) ?? 0),
      `${change >= 0 ? "+" : ""}${showFigure(task, name, change)}`,
      showRange(task, name, intervals[name]),
    ];
  });
  const changed = `${n} questions: ${better} better, ${worse} worse, ${same} the same`;
  return `${table([["", ...names, "difference", "95 %"], ...rows], [1, 2, 3])}\n${changed}`;
}

/** Points relative to the reference's, with what failed and how far orders and repeats agree. */
export function describeJudged(score: JudgeScore): string {
  const points = { points: ["relative", "reference", "candidate"] };
  const rows = figureRows(points, score).map(({ name, value, range, n }) => [
    name,
    value,
    range,
    n === undefined ? "" : `of ${n}`,
  ]);
  const { n, judgements, failed, unjudged, orders, repeats, spread } = score;
  const failures = Object.entries(failed).map(([reason, count]) => [`failed, ${reason}`, String(count), "in no mean"]);
  return table([
    ["questions", String(n)],
    ["judgements", String(judgements)],
    ...rows,
    ...Object.entries(orders).map(([order, relative]) => [order, relative.toFixed(1)]),
    ...repeats.map((relative, i) => [`repeat ${i + 1}`, relative.toFixed(1)]),
    ...(spread === undefined ? [] : [["spread of repeats", `± ${spread.deviation.toFixed(2)}`]]),
    ...failures,
    ...(unjudged.length === 0 ? [] : [["not judged at all", unjudged.join(", ")]]),
  ]);
}
