// The report as one page of HTML without scripts: curves, sums, masks, answers, scores, machine, recipe.
import { lineChart, runningMean } from "./chart.ts";
import type { Fact, MaskPreview, PictureAnswer, ReportData, Score, StageReport } from "./data.ts";
import type { StageSums } from "../stage-data.ts";
import { html, type Html } from "./html.ts";

/** The whole page; `style` is the content of style.css. */
export function renderReport(data: ReportData, style: string): string {
  const body = html`<main>
    <h1>${data.name}</h1>
    <p class="quiet">Training report: ${data.stages.map(({ name }) => name).join(", then ")}.</p>
    ${scores(data.scores)} ${curves(data.stages)} ${sums(data.stages)} ${answers(data.answers)} ${masks(data.masks)}
    ${facts(data.facts)}
    <h2>Recipe</h2>
    <div class="card"><pre>${data.recipe}</pre></div>
  </main>`;
  // nothing may be fetched or run, whatever a caption says
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  const head = html`<meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta http-equiv="Content-Security-Policy" content="${policy}" /><title>${data.name}: training report</title>`;
  return `<!doctype html>\n<html lang="en"><head>${head.source}<style>\n${style}</style></head>\n<body>${body.source}</body></html>\n`;
}

function scores(list: readonly Score[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>Scores</h2>
    <p class="quiet">Accuracy with the right picture, and blind: the same questions with another picture.</p>
    ${list.map(
      ({ task, n, sighted, blind }) =>
        html`<div class="card">
          <h3>${task}</h3>
          <p class="quiet">${count(n)} questions</p>
          ${bar("sighted", sighted)} ${blind === undefined ? undefined : bar("blind", blind)}
        </div>`,
    )}`;
}

function bar(name: "sighted" | "blind", share: number): Html {
  const percent = `${(share * 100).toFixed(1)} %`;
  const width = Math.min(100, Math.max(0, share * 100)).toFixed(1);
  return html`<div class="bar">
    <span>${name}</span>
    <div class="track"><div class="fill ${name}" style="width:${width}%"></div></div>
    <span>${percent}</span>
  </div>`;
}

function curves(stages: readonly StageReport[]): Html {
  return html`<h2>Loss</h2>
    ${stages.map(({ name, train, points }) => {
      const line = points.map(({ step, loss }) => ({ x: step, y: loss }));
      const mean = runningMean(line.filter(({ y }) => Number.isFinite(y)));
      const [first, last] = [mean[0]?.y.toPrecision(3), mean.at(-1)?.y.toPrecision(3)];
      return html`<div class="card">
        <h3>${name}${first === undefined ? undefined : `: ${first} → ${last}`}</h3>
        <p class="quiet">trains ${train.join(" and ")}; loss per step, and its mean over the last twentieth</p>
        ${lineChart(line, "loss")}
      </div>`;
    })}`;
}

const sumLabels: Readonly<Record<keyof StageSums, string>> = {
  pictures: "pictures",
  samples: "samples",
  mirrored: "mirrored samples",
  tokens: "tokens",
  supervised_tokens: "trained tokens",
  rows: "rows",
  steps: "steps",
  row_length: "longest row",
  held_out: "held-out samples",
};

function sums(stages: readonly StageReport[]): Html {
  const keys = Object.keys(sumLabels) as (keyof StageSums)[];
  const cells = (show: (stage: StageReport) => string): Html[] =>
    stages.map((stage) => html`<td class="number">${show(stage)}</td>`);
  return html`<h2>Sums</h2>
    <div class="card scroll">
      <table>
        <tr>
          <th></th>
          ${stages.map(({ name }) => html`<th class="number">${name}</th>`)}
        </tr>
        ${keys.map(
          (key) =>
            html`<tr>
              <th>${sumLabels[key]}</th>
              ${cells(({ sums: each }) => count(each[key]))}
            </tr>`,
        )}
        <tr>
          <th>minutes</th>
          ${cells(({ seconds }) => (seconds / 60).toFixed(1))}
        </tr>
      </table>
    </div>`;
}

function answers(list: readonly PictureAnswer[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>What the model answers</h2>
    <div class="answers">
      ${list.map(
        ({ picture, question, answer, expected }) =>
          html`<div class="card">
            <img alt="" src="${picture}" />
            <dl>
              <dt>${question}</dt>
              <dd>${answer}</dd>
              ${
                expected === undefined
                  ? undefined
                  : html`<dt>the data says</dt>
                      <dd>${expected}</dd>`
              }
            </dl>
          </div>`,
      )}
    </div>`;
}

function masks(list: readonly MaskPreview[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>What is learned</h2>
    <p class="quiet">
      Real samples as training sees them; <mark>marked</mark> tokens are learned, the others only read.
    </p>
    ${list.map(
      ({ id, stage, pieces }) =>
        html`<div class="card">
          <h3>${stage}</h3>
          <p class="quiet">sample ${id}</p>
          <div class="sample">${pieces.map(({ text, learned }) => (learned ? html`<mark>${text}</mark>` : text))}</div>
        </div>`,
    )}`;
}

function facts(list: readonly Fact[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>Machine and time</h2>
    <div class="card">
      <table>
        ${list.map(
          ({ label, value }) =>
            html`<tr>
              <th>${label}</th>
              <td class="value">${value}</td>
            </tr>`,
        )}
      </table>
    </div>`;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}
