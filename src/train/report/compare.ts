// Two or more runs on one page: figures side by side, curves over each other, where their recipes differ.
import { chart, type Curve, legend } from "./chart.ts";
import { comparisonTables } from "./compare-tables.ts";
import { finite, type Point, runningMean } from "./curve.ts";
import type { NamedRun, PictureAnswer, StageReport } from "./data.ts";
import { heldOutCurve, lossCurves } from "./figures.ts";
import { html, type Html } from "../../pages/html.ts";
import { renderShell } from "../../pages/shell.ts";

/** The colours that the page knows. */
const TONES = 6;
const mostAnswers = 8;

/** The whole page; `style` is the content of style.css. */
export function renderComparison(runs: readonly NamedRun[], style: string): string {
  const title = runs.map(({ label }) => label).join(" and ");
  const keys = runs.map(({ label }, i) => ({ name: label, tone: i % TONES }));
  const body = html`<main>
    <header>
      <h1>${title}</h1>
      ${legend(keys)}
    </header>
    ${comparisonTables(runs)}
    <h2>Curves</h2>
    ${stageNames(runs).map((stage) => stageCard(stage, runs))} ${answers(runs)}
  </main>`;
  return renderShell(body, { title: `${title}: training runs compared`, style });
}

/** In the order in which they first appear. */
function stageNames(runs: readonly NamedRun[]): string[] {
  return [...new Set(runs.flatMap(({ data }) => data.stages.map(({ name }) => name)))];
}

function stageCard(name: string, runs: readonly NamedRun[]): Html {
  const curves = (of: (stage: StageReport) => Pick<Curve, "line" | "dots">): Curve[] =>
    runs.flatMap(({ label, data }, i) => {
      const stage = data.stages.find((one) => one.name === name);
      return stage === undefined ? [] : [{ name: label, tone: i % TONES, ...of(stage) }];
    });
  const heldOut = curves(({ evaluations }) => ({ line: heldOutCurve(evaluations), dots: true }));
  const speed = curves(({ points }) => ({
    line: runningMean(finite(points.map(({ step, tokens, seconds }) => ({ x: step, y: tokens / seconds })))),
  }));
  const losses = curves(({ points }) => ({ line: lossCurves(points).mean }));
  return html`<div class="card">
    <h3>${name}</h3>
    <p class="quiet">loss, mean over a twentieth of the stage</p>
    ${legend(losses)} ${chart(losses, { label: "loss" })}
    <div class="small-charts">
      ${heldOut.some(({ line }) => line.length > 0) ? small("held-out loss", heldOut) : undefined}
      ${small(
        "loss over minutes",
        curves(({ points }) => ({ line: lossOverMinutes(points) })),
        "minute",
      )}
      ${small("tokens/s", speed)}
    </div>
  </div>`;
}

function small(label: string, lines: readonly Curve[], unit = "step"): Html {
  return html`<figure>
    <figcaption>${label}</figcaption>
    ${chart(lines, { label, size: "small", unit })}
  </figure>`;
}

function lossOverMinutes(points: StageReport["points"]): Point[] {
  let seconds = 0;
  const minutes = new Map(points.map((point) => [point.step, (seconds += point.seconds) / 60]));
  return lossCurves(points).mean.map(({ x, y }) => ({ x: minutes.get(x)!, y }));
}

/** Questions that all runs were asked about the same picture. */
function answers(runs: readonly NamedRun[]): Html | undefined {
  const same = (a: PictureAnswer, b: PictureAnswer): boolean => a.question === b.question && a.picture === b.picture;
  const shared = (runs[0]?.data.answers ?? [])
    .map((first) => ({ first, all: runs.map(({ data }) => data.answers.find((one) => same(one, first))) }))
    .filter(({ all }) => all.every((answer) => answer !== undefined))
    .slice(0, mostAnswers);
  if (shared.length === 0) return undefined;
  return html`<h2>What they answer</h2>
    <div class="answers">
      ${shared.map(
        ({ first, all }) =>
          html`<div class="card">
            ${first.picture === undefined ? undefined : html`<img alt="" src="${first.picture}" />`}
            <dl>
              <dt>question</dt>
              <dd>${first.question}</dd>
              ${all.map(
                (answer, i) =>
                  html`<dt class="key tone-${i % TONES}">${runs[i]!.label}</dt>
                    <dd>${answer!.answer}</dd>`,
              )}
              <dt>the data</dt>
              <dd>${first.expected}</dd>
            </dl>
          </div>`,
      )}
    </div>`;
}
