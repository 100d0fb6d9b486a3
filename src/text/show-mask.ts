// The mask made visible: the text of a row cut into learned and unlearned stretches, for terminal and page.
import { IMAGE_PLACEHOLDER } from "./encode.ts";
import { IGNORE_LABEL } from "./expand.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface MaskSpan {
  /** text as the model reads it, control tokens spelled out; a picture as `<image×49>` */
  readonly text: string;
  readonly learned: boolean;
  /** number of ids in this span */
  readonly tokens: number;
}

/**
 * Spans of equal mask in order; their texts joined read as the whole row. `placeholderId` is the id that stands for
 * picture tokens (IMAGE_PLACEHOLDER is always shown as a picture).
 */
export function showMask(
  tokenizer: Tokenizer,
  ids: ArrayLike<number>,
  labels: ArrayLike<number>,
  placeholderId = IMAGE_PLACEHOLDER,
): MaskSpan[] {
  const spans: MaskSpan[] = [];
  const add = (text: string, learned: boolean, tokens: number): void => {
    const last = spans.at(-1);
    if (last?.learned === learned)
      spans[spans.length - 1] = { text: last.text + text, learned, tokens: last.tokens + tokens };
    else spans.push({ text, learned, tokens });
  };
  const stream = tokenizer.stream();
  for (let i = 0; i < ids.length; i++) {
    const isPicture = (at: number): boolean => ids[at] === placeholderId || ids[at] === IMAGE_PLACEHOLDER;
    if (isPicture(i)) {
      const start = i;
      while (i + 1 < ids.length && isPicture(i + 1)) i++;
      add(`<image×${i - start + 1}>`, false, i - start + 1);
    } else {
      add(stream.push(ids[i] ?? IMAGE_PLACEHOLDER), (labels[i] ?? IGNORE_LABEL) !== IGNORE_LABEL, 1);
    }
  }
  const rest = stream.end();
  const last = spans.at(-1);
  if (rest.length > 0 && last !== undefined) spans[spans.length - 1] = { ...last, text: last.text + rest };
  return spans;
}
