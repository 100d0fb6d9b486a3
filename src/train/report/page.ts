// A run's report as one page of HTML without scripts.
import { curves } from "./curves.ts";
import type { ReportData } from "./data.ts";
import { html } from "../../pages/html.ts";
import { overview, scores } from "./overview.ts";
import { answers, masks } from "./samples.ts";
import { renderShell } from "../../pages/shell.ts";
import { facts, recipe, sums } from "./tables.ts";

/** How often an open page of a running run loads itself again. */
const REFRESH_SECONDS = 60;

/** The whole page; `style` is the content of style.css. */
export function renderReport(data: ReportData, style: string): string {
  const body = html`<main>
    ${overview(data)} ${scores(data.scores)} ${curves(data.stages)} ${answers(data.answers)} ${masks(data.masks)}
    ${sums(data.stages)} ${facts(data.facts)} ${recipe(data.recipe)}
  </main>`;
  return renderShell(body, {
    title: `${data.name}: training report`,
    style,
    ...(data.state === "running" && { refresh: REFRESH_SECONDS }),
  });
}
