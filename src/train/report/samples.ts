// A report's samples: pictures with the model's answers, and texts with what is learned of them marked.
import type { MaskPiece, MaskPreview, PictureAnswer } from "./data.ts";
import { html, type Html } from "../../pages/html.ts";
import { showCount } from "./show.ts";

export function answers(list: readonly PictureAnswer[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>What the model answers</h2>
    <div class="answers">${list.map(answerCard)}</div>`;
}

function answerCard({ picture, question, answer, expected, before }: PictureAnswer): Html {
  return html`<div class="card">
    ${picture === undefined ? html`<p class="empty nothing">no picture</p>` : html`<img alt="" src="${picture}" />`}
    <dl>
      <dt>question</dt>
      <dd>${question}</dd>
      <dt>the model</dt>
      <dd class="${verdict(answer, expected)}">${answer === "" ? "(says nothing)" : answer}</dd>
      <dt>the data</dt>
      <dd>${expected}</dd>
    </dl>
    ${
      before.length === 0
        ? undefined
        : html`<details>
            <summary>earlier answers</summary>
            <dl>
              ${before.map(
                ({ at, text }) =>
                  html`<dt>${at}</dt>
                    <dd class="${verdict(text, expected)}">${text === "" ? "(says nothing)" : text}</dd>`,
              )}
            </dl>
          </details>`
    }
  </div>`;
}

/** Only what is word for word right is called so: other answers are for the reader to judge. */
function verdict(answer: string, expected: string): "right" | "" {
  const plain = (text: string): string => text.trim().toLowerCase().replace(/[.!]$/, "");
  return plain(answer) === plain(expected) ? "right" : "";
}

export function masks(list: readonly MaskPreview[]): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<h2>What is learned</h2>
    <p class="quiet">
      Real samples as training sees them: <mark>marked</mark> tokens are learned, the others only read;
      <span class="image">pictures</span> take the places of their tokens.
    </p>
    <div class="pair">${list.map(maskCard)}</div>`;
}

function maskCard({ id, stage, pieces }: MaskPreview): Html {
  const count = (of: readonly MaskPiece[]): number => of.reduce((sum, { tokens }) => sum + tokens, 0);
  const learned = count(pieces.filter((piece) => piece.learned));
  const branches = pieces.at(-1)?.branch ?? 0;
  const texts = Array.from({ length: branches }, (_, i) => {
    const own = pieces.filter(({ branch }) => branch === i + 1);
    return html`<div class="branch">${own.map(pieceText)}</div>`;
  });
  const shared = pieces.filter(({ branch }) => branch === undefined);
  const who = branches === 0 ? `sample ${id}` : `samples ${id}, each going on from the same pictures`;
  return html`<div class="card">
    <h3>${stage}</h3>
    <p class="quiet">${who}: ${showCount(learned)} of ${showCount(count(pieces))} tokens are learned</p>
    ${html`<div class="sample">${shared.map(pieceText)}${texts}</div>`}
  </div>`;
}

function pieceText({ text, learned }: MaskPiece): Html | (string | Html)[] {
  return learned ? html`<mark>${text}</mark>` : unlearned(text);
}

function unlearned(text: string): (string | Html)[] {
  return text.split(/(<image×\d+>)/).map((part, i) => (i % 2 === 1 ? html`<span class="image">${part}</span>` : part));
}
