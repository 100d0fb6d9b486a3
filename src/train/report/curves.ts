// A report's curves: a card a stage, with loss large, and rates, gradient norms and speed small.
import { shareName, type StepMetrics } from "../metrics.ts";
import { chart, type Curve, legend } from "./chart.ts";
import { finite, type Point, runningMean } from "./curve.ts";
import type { StageReport } from "./data.ts";
import { heldOutCurve, lossCurves, stageFigures } from "./figures.ts";
import { html, type Html } from "../../pages/html.ts";
import { showCount, showLoss } from "./show.ts";

export function curves(stages: readonly StageReport[]): Html {
  return html`<h2>Curves</h2>
    ${stages.map(stageCard)}`;
}

function stageCard(stage: StageReport): Html {
  const { name, train, points, steps } = stage;
  if (points.length === 0)
    return html`<div class="card">
      <h3>${name}</h3>
      <p class="empty">Not begun yet${steps > 0 ? `: ${showCount(steps)} steps` : ""}.</p>
    </div>`;
  const { first_loss, loss } = stageFigures(stage);
  const change =
    first_loss === undefined || loss === undefined ? "" : `: loss ${showLoss(first_loss)} → ${showLoss(loss)}`;
  const losses = lossLines(stage);
  return html`<div class="card">
    <h3>${name}${change}</h3>
    <p class="quiet">
      trains ${train.join(" and ")}; single steps are faint, the line is their mean over a twentieth of the stage
    </p>
    ${legend(losses)} ${chart(losses, { label: "loss" })}
    <div class="small-charts">${smallCharts(stage)}</div>
  </div>`;
}

function lossLines({ points, evaluations }: StageReport): Curve[] {
  const { single, mean } = lossCurves(points);
  const heldOut = heldOutCurve(evaluations);
  return [
    { name: "training", line: mean, single, tone: 0 },
    ...(heldOut.length === 0 ? [] : [{ name: "held out", line: heldOut, dots: true, tone: 1 }]),
  ];
}

function smallCharts({ points, evaluations }: StageReport): Html[] {
  const scored = evaluations.filter(({ score }) => score !== undefined);
  const share = `${shareName(scored.at(-1)?.score ?? {})}, %`;
  const answers: Curve = {
    name: share,
    line: scored.map(({ step, score }) => ({ x: step, y: 100 * score!.accuracy })),
    dots: true,
    tone: 1,
  };
  return [
    ...(scored.length === 0 ? [] : [small(share, [answers])]),
    small("learning rate", rateLines(points)),
    small("gradient norm", [smoothed("gradient norm", points, ({ grad_norm }) => grad_norm)], true),
    small("tokens/s", [smoothed("tokens/s", points, ({ tokens, seconds }) => tokens / seconds)]),
  ];
}

function small(label: string, lines: readonly Curve[], powers = false): Html {
  return html`<figure>
    <figcaption>${label}</figcaption>
    ${legend(lines)} ${chart(lines, { label, size: "small", powers })}
  </figure>`;
}

/** One line a part; parts that share a rate share a line. */
function rateLines(points: readonly StepMetrics[]): Curve[] {
  const parts = Object.keys(points[0]?.learning_rates ?? {});
  const lines = parts.map((part) => ({
    part,
    line: curve(points, (point) => point.learning_rates[part] ?? Number.NaN),
  }));
  const groups: { names: string[]; line: Point[] }[] = [];
  for (const { part, line } of lines) {
    const same = groups.find(
      (group) => group.line.length === line.length && group.line.every(({ y }, i) => y === line[i]!.y),
    );
    if (same === undefined) groups.push({ names: [part], line });
    else same.names.push(part);
  }
  return groups.map(({ names, line }, tone) => ({ name: names.join(" and "), line, tone }));
}

function smoothed(name: string, points: readonly StepMetrics[], of: (point: StepMetrics) => number): Curve {
  const single = finite(curve(points, of));
  return { name, line: runningMean(single), single, tone: 0 };
}

function curve(points: readonly StepMetrics[], of: (point: StepMetrics) => number): Point[] {
  return points.map((point) => ({ x: point.step, y: of(point) }));
}
