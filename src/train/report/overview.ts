// The top of a report: how the run stands, its figures at a glance, and scores sighted and blind.
import type { ReportData, Score } from "./data.ts";
import { runFigures, type StageFigures } from "./figures.ts";
import { html, type Html } from "../../pages/html.ts";
import { showBytes, showCount, showDuration, showLoss, showPercent } from "./show.ts";

export function overview(data: ReportData): Html {
  const figures = runFigures(data);
  const current = figures.stages.findLast(({ steps }) => steps > 0);
  const tiles = [
    ...(current === undefined ? [] : stageTiles(current)),
    tile("time", showDuration(figures.seconds), remaining(data, current)),
    data.peakBytes === undefined ? undefined : tile("peak memory", showBytes(data.peakBytes)),
  ];
  return html`<header>
      <h1>${data.name} ${badge(data)}</h1>
      <p class="quiet">${standing(data, current)}</p>
    </header>
    <div class="tiles">${tiles}</div>`;
}

function badge({ state }: ReportData): Html | undefined {
  return state === undefined ? undefined : html`<span class="badge ${state}">${state}</span>`;
}

function standing({ stages, state, updated }: ReportData, current: StageFigures | undefined): string {
  const when = `${updated.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const plan = `Training report: ${stages.map(({ name }) => name).join(", then ")}.`;
  if (current === undefined || state === "finished") return `${plan} Written ${when}.`;
  const place = `step ${showCount(current.steps)} of ${showCount(current.planned)} of ${current.stage}`;
  return `${plan} At ${place}, ${when}.`;
}

function stageTiles({
  stage,
  loss,
  first_loss,
  held_out_loss,
  held_out_step,
  score,
  score_name,
  tokens_per_second,
}: StageFigures): (Html | undefined)[] {
  const from = first_loss === undefined ? "" : `from ${showLoss(first_loss)}`;
  return [
    loss === undefined ? undefined : tile(`${stage} loss`, showLoss(loss), from),
    held_out_loss === undefined
      ? undefined
      : tile("held-out loss", showLoss(held_out_loss), `best, at step ${showCount(held_out_step ?? 0)}`),
    score === undefined ? undefined : tile(score_name ?? "", showPercent(score), "asked while training"),
    tokens_per_second === undefined ? undefined : tile("tokens/s", showCount(Math.round(tokens_per_second))),
  ];
}

/** Time left in a running stage, at the pace of its last twenty steps. */
function remaining({ state, stages }: ReportData, current: StageFigures | undefined): string {
  if (state !== "running" || current === undefined || current.steps >= current.planned) return "";
  const last = stages.find(({ name }) => name === current.stage)!.points.slice(-20);
  const pace = last.reduce((sum, { seconds }) => sum + seconds, 0) / last.length;
  return `about ${showDuration(pace * (current.planned - current.steps))} left in ${current.stage}`;
}

function tile(label: string, value: string, note = ""): Html {
  return html`<div class="tile">
    <div class="quiet">${label}</div>
    <div class="figure">${value}</div>
    <div class="quiet">${note}</div>
  </div>`;
}

export function scores(list: readonly Score[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>Scores</h2>
    <p class="quiet">Right answers with the picture, and blind: the same questions with another picture.</p>
    <div class="pair">${list.map(scoreCard)}</div>`;
}

function scoreCard({ task, n, sighted, blind, intervals = {} }: Score): Html {
  const points = sighted !== undefined && blind !== undefined ? (sighted - blind) * 100 : undefined;
  return html`<div class="card">
    <h3>${task}</h3>
    <p class="quiet">
      ${showCount(n)} questions${points === undefined ? undefined : `; sight is worth ${points.toFixed(1)} points`}
    </p>
    ${sighted === undefined ? undefined : bar("sighted", sighted, intervals.sighted)}
    ${blind === undefined ? undefined : bar("blind", blind, intervals.blind)}
  </div>`;
}

function bar(name: "sighted" | "blind", share: number, interval?: readonly [number, number]): Html {
  const width = Math.min(100, Math.max(0, share * 100)).toFixed(1);
  return html`<div class="bar">
    <span>${name}</span>
    <div class="track"><div class="fill ${name}" style="width:${width}%"></div></div>
    <span title="${interval === undefined ? "" : `95 %: ${interval.map((end) => showPercent(end)).join(" to ")}`}"
      >${showPercent(share)}</span
    >
  </div>`;
}
