// The report of a teacher's run as one page of HTML: figures, then conversations beside their pictures, worst first.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { picturePath, pictureFile } from "../../data/picture-path.ts";
import { thumbnail } from "../../image/node.ts";
import { html, type Html } from "../../pages/html.ts";
import { renderShell } from "../../pages/shell.ts";
import type { Card, Taught } from "./read.ts";

const longestSide = 320;
/** Beyond this a filter has no button: kinds come from a file. */
const mostButtons = 40;

/** Renders the page; pictures that are gone are left out. Filters work by style alone: nothing on the page runs. */
export async function renderTaught(taught: Taught, images: string | undefined): Promise<string> {
  const style = await readFile(fileURLToPath(new URL("./style.css", import.meta.url)), "utf8");
  const kinds = buttonsOf("kind", taught.cards, ({ kind }) => kind);
  const reasons = buttonsOf("state", taught.cards, ({ reason }) => reason ?? "kept");
  const cards: Html[] = [];
  for (const card of taught.cards) {
    const classes = [kinds.classOf(card.kind), reasons.classOf(card.reason ?? "kept")].join(" ");
    cards.push(renderCard(card, classes, await pictureOf(card, images)));
  }
  const body = html`<main>
    <h1>${taught.name}</h1>
    <p class="quiet">What a teacher wrote: ${show(taught.samples)} samples about ${show(taught.pictures)} pictures.</p>
    ${figures(taught)}
    <section class="columns">
      ${bars("Kinds", [...taught.kinds])} ${bars("Dropped, by reason", [...taught.reasons])}
      ${bars("Answers", [...taught.answers])} ${bars("Words in an answer", lengthsOf(taught))}
    </section>
    <h2>Conversations, the doubtful ones first</h2>
    <fieldset>${kinds.inputs}</fieldset>
    <fieldset>${reasons.inputs}</fieldset>
    <section>${cards}</section>
  </main>`;
  return renderShell(body, { title: `${taught.name}: teacher's report`, style: style + kinds.style + reasons.style });
}

interface Buttons {
  readonly inputs: Html;
  readonly style: string;
  classOf(name: string): string;
}

/** Radio buttons; names come from files, so that classes are numbers. */
function buttonsOf(group: string, cards: readonly Card[], nameOf: (card: Card) => string): Buttons {
  const names = [...new Set(cards.map(nameOf))].sort().slice(0, mostButtons);
  const classOf = (name: string): string => `${group}-${names.indexOf(name)}`;
  const button = (id: string, name: string, checked: boolean): Html =>
    html`<input type="radio" name="${group}" id="${id}" ${checked ? html`checked` : undefined} /><label for="${id}"
        >${name}</label
      >`;
  const inputs = html`<legend>${group}</legend>
    ${button(`${group}-all`, "all", true)}${names.map((name) => button(classOf(name), name, false))}`;
  const rule = (id: string): string => `body:has(#${id}:checked) .card:not(.${id}){display:none}\n`;
  return { inputs, style: names.map((name) => rule(classOf(name))).join(""), classOf };
}

function figures({ samples, dropped, ledger }: Taught): Html {
  const share = samples + dropped === 0 ? 0 : (100 * dropped) / (samples + dropped);
  const told: (readonly [string, string])[] = [
    ["samples", show(samples)],
    ["dropped", `${show(dropped)} (${share.toFixed(1)} %)`],
  ];
  if (ledger !== undefined) {
    told.push(["spent", `$${ledger.spent.toFixed(4)}`]);
    if (samples > 0) told.push(["a thousand samples", `$${((1000 * ledger.spent) / samples).toFixed(4)}`]);
    told.push(["tokens", `${show(ledger.prompt_tokens)} in, ${show(ledger.completion_tokens)} out`]);
    if (ledger.in_doubt > 0)
      told.push(["in doubt", `${show(ledger.in_doubt)}, $${ledger.in_doubt_at_most.toFixed(4)} at most`]);
  }
  return html`<dl>
    ${told.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

function bars(title: string, counts: readonly (readonly [string, number])[]): Html | undefined {
  if (counts.length === 0) return undefined;
  const most = Math.max(...counts.map(([, n]) => n));
  const rows = counts.map(
    ([name, n]) =>
      html`<tr>
        <th>${name}</th>
        <td>${show(n)}</td>
        <td><meter min="0" max="${most}" value="${n}"></meter></td>
      </tr>`,
  );
  return html`<div>
    <h2>${title}</h2>
    <table>
      ${rows}
    </table>
  </div>`;
}

function lengthsOf({ lengths }: Taught): [string, number][] {
  return lengths.flatMap((n, i): [string, number][] => {
    const from = i === 0 ? 1 : 2 ** (i - 1) + 1;
    return n === 0 ? [] : [[i < 2 ? String(2 ** i) : `${from}–${2 ** i}`, n]];
  });
}

function renderCard({ id, kind, reason, turns, image }: Card, classes: string, picture: string | undefined): Html {
  const shown = picture === undefined ? undefined : html`<img src="${picture}" alt="${image}" loading="lazy" />`;
  return html`<article class="card ${classes}">
    <div>${shown}</div>
    <div>
      <p class="quiet">${id} · ${kind}${reason === undefined ? undefined : html` · <b>${reason}</b>`}</p>
      ${turns.map(({ from, value }) => html`<p class="${from}">${value.replace(/^<image>\n?/, "")}</p>`)}
    </div>
  </article>`;
}

/** A small copy. Names come from a file that anybody may have written: they stay below the images folder. */
async function pictureOf({ image }: Card, images: string | undefined): Promise<string | undefined> {
  if (image === undefined || images === undefined) return undefined;
  try {
    return await thumbnail(await readFile(pictureFile(images, picturePath(image, "report"))), longestSide);
  } catch {
    return undefined;
  }
}

function show(n: number): string {
  return n.toLocaleString("en-US");
}
