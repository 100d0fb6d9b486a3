// Shows samples as the model sees them: every token, with what is learned marked, for a terminal.
import { showMask, type MaskSpan } from "../text/show-mask.ts";
import { encodeSample, type EncodedSample, learnedTokens, type Encoding } from "./encode.ts";
import type { Sample } from "./sample.ts";

/** A span, and in a document of several samples where it belongs. */
export interface SampleSpan extends MaskSpan {
  /** counts samples from 1; absent in what they share, and in what is one sample */
  readonly branch?: number;
}

/** One sample for a preview; the spans' texts joined read as what the model reads. */
export interface SamplePreview {
  readonly id: string;
  readonly where: string;
  readonly images: readonly string[];
  readonly spans: readonly SampleSpan[];
  readonly tokens: number;
  /** tokens that are targets */
  readonly learned: number;
}

/** Encodes a sample and cuts it into learned and unlearned spans. Throws what `encodeSample` throws. */
export function previewSample(sample: Sample, encoding: Encoding): SamplePreview {
  return previewEncoded(encodeSample(sample, encoding), sample.where, encoding);
}

/** Cuts a sample, or several that are one document (share.ts), into spans. */
export function previewEncoded(encoded: EncodedSample, where: string, encoding: TokenNames): SamplePreview {
  const { id, images, ids } = encoded;
  return { id, where, images, spans: spansOf(encoded, encoding), tokens: ids.length, learned: learnedTokens(encoded) };
}

type TokenNames = Pick<Encoding, "tokenizer" | "imageTokenId">;

/** Learned and unlearned spans; none goes on from one branch into the next. */
export function spansOf(
  { ids, labels, branches = [] }: EncodedSample,
  { tokenizer, imageTokenId }: TokenNames,
): SampleSpan[] {
  const starts = [0, ...branches];
  return starts.flatMap((start, branch) => {
    const end = starts[branch + 1];
    const spans = showMask(tokenizer, ids.subarray(start, end), labels.subarray(start, end), imageTokenId);
    return branch === 0 ? spans : spans.map((span) => ({ ...span, branch }));
  });
}

const GREEN = "\u001B[1;32m";
const DIM = "\u001B[2m";
const RESET = "\u001B[0m";
const GUTTER = 9;

/**
 * A preview as lines of text: each span with its number of tokens in a column on the left, learned text green (or, in
 * plain text, behind a "+"). Control characters in the text are shown as escapes, so that data cannot steer the terminal.
 */
export function renderPreview(preview: SamplePreview, { color }: { readonly color: boolean }): string {
  const { id, where, images, spans, tokens, learned } = preview;
  const pictures = images.length === 0 ? "no picture" : images.join(", ");
  const title = visible(`${id}  ${pictures}  (${where})  ${learned} of ${tokens} tokens learned`);
  const count = spans.at(-1)?.branch ?? 0;
  const rule = ({ branch }: SampleSpan, i: number): string[] =>
    branch === spans[i - 1]?.branch
      ? []
      : [`${" ".repeat(GUTTER - 2)}── sample ${branch} of ${count} goes on from the pictures`];
  return [title, ...spans.flatMap((span, i) => [...rule(span, i), ...renderSpan(span, color)])].join("\n");
}

function renderSpan({ text, learned, tokens }: MaskSpan, color: boolean): string[] {
  const [on, off] = color ? [learned ? GREEN : DIM, RESET] : ["", ""];
  // a newline is shown and then made, so that none is lost at the end of a span
  const lines = text.replaceAll("\n", "↵\n").split("\n");
  if (lines.length > 1 && lines.at(-1) === "") lines.pop();
  return lines.map((line, i) => {
    const count = (i === 0 ? String(tokens) : "").padStart(GUTTER - 4);
    return `${count} ${learned ? "+" : " "} ${on}${visible(line)}${off}`;
  });
}

/** Escapes control characters, among them those that reorder or hide text. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/gu, (char) => {
    return `\\u${(char.codePointAt(0) as number).toString(16).padStart(4, "0")}`;
  });
}
