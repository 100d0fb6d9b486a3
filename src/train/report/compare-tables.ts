// Figures of several runs side by side, and the keys in which their recipes differ.
import type { NamedRun } from "./data.ts";
import { type RunFigures, runFigures, type StageFigures } from "./figures.ts";
import { html, type Html } from "../../pages/html.ts";
import { recipeDifferences } from "./recipe-differences.ts";
import { showBytes, showCount, showDuration, showLoss, showPercent } from "./show.ts";

interface Row {
  readonly label: string;
  readonly values: readonly (number | undefined)[];
  readonly show: (value: number) => string;
  /** which value is marked as the best */
  readonly better?: "low" | "high";
}

export function comparisonTables(runs: readonly NamedRun[]): Html {
  const heads = runs.map(({ label }) => html`<th class="number">${label}</th>`);
  const differences = recipeDifferences(runs.map(({ data }) => data.recipe));
  return html`<h2>Figures</h2>
    <div class="card scroll">
      <table>
        <tr>
          <th></th>
          ${heads}
        </tr>
        ${figureRows(runs.map(({ data }) => runFigures(data))).map(figureRow)}
      </table>
    </div>
    <h2>Where the recipes differ</h2>
    <div class="card scroll">
      ${
        differences.length === 0
          ? html`<p class="empty">Nowhere.</p>`
          : html`<table>
              <tr>
                <th></th>
                ${runs.map(({ label }) => html`<th>${label}</th>`)}
              </tr>
              ${differences.map(
                ({ key, values }) =>
                  html`<tr>
                    <th class="key-path">${key}</th>
                    ${values.map((value) => html`<td class="value">${value ?? "–"}</td>`)}
                  </tr>`,
              )}
            </table>`
      }
    </div>`;
}

/** Rows that at least one run has a value for. */
function figureRows(runs: readonly RunFigures[]): Row[] {
  const stages = [...new Set(runs.flatMap((run) => run.stages.map(({ stage }) => stage)))];
  const tasks = [...new Set(runs.flatMap(({ scores }) => scores.map(({ task }) => task)))];
  const score = (task: string, side: "sighted" | "blind"): Row => ({
    label: `${task}, ${side}`,
    values: runs.map(({ scores }) => scores.find((one) => one.task === task)?.[side]),
    show: showPercent,
    ...(side === "sighted" && { better: "high" }),
  });
  const rows: Row[] = [
    ...stages.flatMap((stage) => stageRows(stage, runs)),
    ...tasks.flatMap((task) => [score(task, "sighted"), score(task, "blind")]),
    { label: "time", values: runs.map(({ seconds }) => seconds), show: showDuration, better: "low" },
    { label: "peak memory", values: runs.map(({ peak_bytes }) => peak_bytes), show: showBytes, better: "low" },
  ];
  return rows.filter(({ values }) => values.some((value) => value !== undefined));
}

function stageRows(stage: string, runs: readonly RunFigures[]): Row[] {
  const row = (label: string, key: keyof StageFigures, show: Row["show"], better?: Row["better"]): Row => ({
    label: `${stage}: ${label}`,
    values: runs.map((run) => {
      const value = run.stages.find((one) => one.stage === stage)?.[key];
      return typeof value === "number" ? value : undefined;
    }),
    show,
    ...(better !== undefined && { better }),
  });
  return [
    row("steps", "steps", showCount),
    row("loss at the end", "loss", showLoss, "low"),
    row("best held-out loss", "held_out_loss", showLoss, "low"),
    row("score while training", "score", showPercent, "high"),
    row("tokens trained", "supervised_tokens", showCount),
    row("tokens/s", "tokens_per_second", (value) => showCount(Math.round(value)), "high"),
    row("time", "seconds", showDuration, "low"),
  ];
}

function figureRow({ label, values, show, better }: Row): Html {
  const known = values.filter((value) => value !== undefined);
  const best = better === "low" ? Math.min(...known) : Math.max(...known);
  const marks = better !== undefined && known.some((value) => value !== best);
  return html`<tr>
    <th>${label}</th>
    ${values.map((value) => html`<td class="number${marks && value === best ? " best" : ""}">${value === undefined ? "–" : show(value)}</td>`)}
  </tr>`;
}
