// A run's page: figures with intervals, sighted beside blind, and every kind of answer with its picture, worst first.
import { pictureFile } from "../data/picture-path.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { html, type Html } from "../pages/html.ts";
import { renderShell } from "../pages/shell.ts";
import { readStyle } from "../pages/style-node.ts";
import type { Thumbnails } from "../image/thumbnails-node.ts";
import { textOf } from "../text/templates.ts";
import type { Result } from "./result.ts";
import { figureRows } from "./show.ts";
import type { Answered, Task } from "./task.ts";

/** Cards on a page: more make it slow to open. */
const MOST_SHOWN = 200;
/** as many of them, at least, are answers that were right */
const RIGHT_SHOWN = 20;

export interface ReportInput {
  readonly task: Task;
  readonly imagesDir: string;
  readonly sighted?: { readonly result: Result; readonly answered: readonly Answered[] };
  readonly blind?: { readonly result: Result; readonly answered: readonly Answered[] };
}

/** Writes the page, whole or not at all. Throws as `writeFileAtomic`. */
export async function writeEvalReport(path: string, input: ReportInput, thumbnails: Thumbnails): Promise<void> {
  const { task, sighted, blind } = input;
  const main = sighted ?? blind!;
  const other = sighted === undefined ? undefined : blind;
  const blindAnswers = new Map(other?.answered.map(({ question, answer }) => [question.id, answer]));
  const cards: Html[] = [];
  for (const each of chosen(task, main.answered))
    cards.push(await card(input, each, blindAnswers.get(each.question.id), thumbnails));
  const title = `${task.name}: ${main.result.run?.model ?? "answers"}`;
  const body = html`<main>
    <header><h1>${title}</h1></header>
    ${figures(input)} ${made(main.result)}
    <h2>Answers, worst first</h2>
    <p class="quiet">${cards.length} of ${main.answered.length}; those that were right come last.</p>
    <div class="answers">${cards}</div>
  </main>`;
  await writeFileAtomic(path, renderShell(body, { title, style: await readStyle() }));
}

/** The worst, and some of the right ones; in the file's order where they are equal. */
function chosen(task: Task, answered: readonly Answered[]): Answered[] {
  const graded = answered.map((each) => ({ each, grade: task.grade(each) })).toSorted((a, b) => a.grade - b.grade);
  if (graded.length <= MOST_SHOWN) return graded.map(({ each }) => each);
  const worst = graded.slice(0, MOST_SHOWN - RIGHT_SHOWN);
  return [...worst, ...graded.slice(-RIGHT_SHOWN)].map(({ each }) => each);
}

function figures({ task, sighted, blind }: ReportInput): Html {
  const columns = [
    ...(sighted === undefined ? [] : [{ name: "sighted", rows: figureRows(task, sighted.result) }]),
    ...(blind === undefined ? [] : [{ name: "blind", rows: figureRows(task, blind.result) }]),
  ];
  return html`<div class="card scroll">
    <table>
      <tr>
        <th></th>
        ${columns.map(
          ({ name }) =>
            html`<th class="number">${name}</th>
              <th>95 %</th>`,
        )}
      </tr>
      ${columns[0]!.rows.map(
        ({ name }, i) =>
          html`<tr>
            <th>${name}</th>
            ${columns.map(
              ({ rows }) =>
                html`<td class="number">${rows[i]?.value}</td>
                  <td class="quiet">${rows[i]?.range}</td>`,
            )}
          </tr>`,
      )}
    </table>
  </div>`;
}

function made({ n, run, bootstrap, unanswered }: Result): Html {
  const facts: [string, string][] = [
    ["questions", String(n)],
    ...(unanswered === undefined ? [] : [["unanswered", `${unanswered}, counted as wrong`] as [string, string]]),
    ["intervals", `bootstrap over ${bootstrap.units} pictures, ${bootstrap.resamples} draws`],
    ...(run === undefined ? [] : runFacts(run)),
  ];
  return html`<div class="card scroll">
    <table>
      ${facts.map(
        ([name, value]) =>
          html`<tr>
            <th>${name}</th>
            <td class="value">${value}</td>
          </tr>`,
      )}
    </table>
  </div>`;
}

function runFacts({ model_sha256, template, prompt, decoding, questions }: Result["run"] & {}): [string, string][] {
  return [
    ["model", model_sha256],
    ["template", template],
    ["first prompt", prompt],
    [
      "decoding",
      decoding.max_new_tokens === 0 ? "the likeliest option" : `greedy, at most ${decoding.max_new_tokens} tokens`,
    ],
    ["questions from", questions.join(", ")],
  ];
}

async function card(
  { task, imagesDir }: ReportInput,
  { question, answer }: Answered,
  blindAnswer: string | undefined,
  thumbnails: Thumbnails,
): Promise<Html> {
  const pictures = await Promise.all(question.images.map((image) => thumbnails(pictureFile(imagesDir, image))));
  const grade = task.grade({ question, answer });
  const told = question.labels === undefined ? question.label : [...new Set(question.labels)].join(" | ");
  const said = (text: string): string => (text === "" ? "(says nothing)" : text);
  return html`<div class="card">
    ${pictures.map((picture) => (picture === undefined ? html`<p class="empty nothing">no picture</p>` : html`<img alt="" src="${picture}" />`))}
    <dl>
      <dt>question ${question.id}</dt>
      <dd>${textOf(question.turn.content).trim()}</dd>
      <dt>the model${grade > 0 && grade < 1 ? `, ${grade.toFixed(2)} right` : ""}</dt>
      <dd class="${task.judged ? "" : grade >= 0.5 ? "right" : "wrong"}">${said(answer)}</dd>
      ${
        blindAnswer === undefined
          ? undefined
          : html`<dt>blind</dt>
              <dd class="quiet">${said(blindAnswer)}</dd>`
      }
      <dt>the data</dt>
      <dd>${told}</dd>
    </dl>
  </div>`;
}
