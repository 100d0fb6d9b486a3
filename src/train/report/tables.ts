// A report's tables: the sums of every stage, the machine, the recipe.
import type { StageSums } from "../stage-data.ts";
import type { Fact, StageReport } from "./data.ts";
import { stageFigures, type StageFigures } from "./figures.ts";
import { html, type Html } from "../../pages/html.ts";
import { showCount, showDuration } from "./show.ts";

const sumLabels: Readonly<Record<Exclude<keyof StageSums, "steps">, string>> = {
  pictures: "pictures",
  samples: "samples",
  mirrored: "mirrored samples",
  tokens: "tokens in the data",
  supervised_tokens: "of these trained",
  sharing: "samples that share pictures",
  tokens_saved: "tokens that this saves",
  rows: "rows",
  row_length: "longest row",
  held_out: "held-out samples",
};

const figureRows: readonly (readonly [string, (figures: StageFigures) => string])[] = [
  [
    "steps",
    ({ steps, planned }) => (steps === planned ? showCount(steps) : `${showCount(steps)} of ${showCount(planned)}`),
  ],
  ["tokens read", ({ tokens }) => showCount(tokens)],
  ["tokens trained", ({ supervised_tokens }) => showCount(supervised_tokens)],
  [
    "tokens/s",
    ({ tokens_per_second }) => (tokens_per_second === undefined ? "" : showCount(Math.round(tokens_per_second))),
  ],
  ["time in steps", ({ step_seconds }) => showDuration(step_seconds)],
  ["time in evaluations", ({ seconds, step_seconds }) => showDuration(seconds - step_seconds)],
];

export function sums(stages: readonly StageReport[]): Html {
  const figures = stages.map(stageFigures);
  const keys = Object.keys(sumLabels) as (keyof typeof sumLabels)[];
  const known = keys.filter((key) => stages.some((stage) => stage.sums?.[key] !== undefined));
  const rows = [
    ...known.map((key) =>
      row(
        sumLabels[key],
        stages.map(({ sums: of }) => (of?.[key] === undefined ? "" : showCount(of[key]))),
      ),
    ),
    ...figureRows.map(([label, show]) => row(label, figures.map(show))),
  ];
  return html`<h2>Sums</h2>
    <div class="card scroll">
      <table>
        <tr>
          <th></th>
          ${stages.map(({ name }) => html`<th class="number">${name}</th>`)}
        </tr>
        ${rows}
      </table>
    </div>`;
}

function row(label: string, cells: readonly string[]): Html {
  return html`<tr>
    <th>${label}</th>
    ${cells.map((cell) => html`<td class="number">${cell}</td>`)}
  </tr>`;
}

export function facts(list: readonly Fact[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>Machine</h2>
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

export function recipe(text: string): Html {
  const keys = text.split(/(^[ -]*[\w.]+:)/m);
  const coloured = keys.map((part, i) => (i % 2 === 1 ? html`<span class="yaml-key">${part}</span>` : part));
  return html`<h2>Recipe</h2>
    ${html`<div class="card"><pre>${coloured}</pre></div>`}`;
}
