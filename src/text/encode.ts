// A conversation as ids, with the mask of what is learned made while writing, never found again afterwards.
import { InputError } from "../errors.ts";
import { checkTurns, textTurn, type ChatTurn } from "./conversation.ts";
import type { Segment, Template } from "./segments.ts";
import { controlIdOf } from "./templates.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Stands once for each picture until `expandImages` (LLaVA's IMAGE_TOKEN_INDEX); no token has this id. */
export const IMAGE_PLACEHOLDER = -200;

/** Ids of one conversation; `learned[i]` is 1 where `ids[i]` is to be predicted. */
export interface Encoded {
  readonly ids: Int32Array;
  readonly learned: Uint8Array;
  /** number of pictures: of IMAGE_PLACEHOLDER in `ids` */
  readonly images: number;
}

/**
 * A whole conversation for training. Learned are the assistant's answers and the token that ends each.
 * Throws `CONVERSATION_ROLES`, `TEMPLATE_CONTROLS`, and what the template throws.
 */
export function encodeConversation(tokenizer: Tokenizer, template: Template, turns: readonly ChatTurn[]): Encoded {
  checkTurns(turns, "assistant");
  return encodeSegments(tokenizer, template.segments(turns));
}

/**
 * The ids after which the model answers the last turn, which is the user's: an exact prefix of the training ids of the
 * same conversation with an answer. Throws as `encodeConversation`.
 */
export function encodePrompt(tokenizer: Tokenizer, template: Template, turns: readonly ChatTurn[]): Encoded {
  checkTurns(turns, "user");
  const segments = template.segments([...turns, textTurn("assistant", "?")]);
  const isLearned = (segment: Segment): boolean => segment.kind !== "image" && segment.learned;
  let end = segments.length;
  while (end > 0 && !isLearned(segments[end - 1] as Segment)) end--;
  while (end > 0 && isLearned(segments[end - 1] as Segment)) end--;
  return encodeSegments(tokenizer, segments.slice(0, end));
}

/**
 * The ids after which an answer is over: what the template has models learn as the last token of an answer (a newline
 * for `plain`), and EOS where there is one.
 */
export function stopIds(tokenizer: Tokenizer, template: Template): number[] {
  const { ids, learned } = encodeConversation(tokenizer, template, [textTurn("user", "a"), textTurn("assistant", "a")]);
  const end = ids[learned.lastIndexOf(1)];
  return [...new Set([end, tokenizer.eos?.id].filter((id) => id !== undefined))];
}

function encodeSegments(tokenizer: Tokenizer, segments: readonly Segment[]): Encoded {
  const ids: number[] = [];
  const learned: number[] = [];
  let images = 0;
  const push = (fresh: readonly number[], isLearned: boolean): void => {
    for (const id of fresh) {
      ids.push(id);
      learned.push(isLearned ? 1 : 0);
    }
  };
  let place: "start" | "afterControl" | "inText" = "start";
  for (const segment of joinTexts(segments)) {
    if (segment.kind === "text") {
      push(tokenizer.encode(segment.text, place), segment.learned);
      place = "inText";
    } else if (segment.kind === "image") {
      push([IMAGE_PLACEHOLDER], false);
      images++;
      place = "afterControl";
    } else if (segment.control !== "bos" || tokenizer.addsBos) {
      push([requireId(segment.control, tokenizer)], segment.learned);
      // the tokenizer's own BOS does not count: the text after it is still the first
      if (segment.control !== "bos" || place !== "start") place = "afterControl";
    }
  }
  return { ids: Int32Array.from(ids), learned: Uint8Array.from(learned), images };
}

/** Joins neighbouring texts of the same kind, so that tokens may cross the seam between template and question. */
function joinTexts(segments: readonly Segment[]): Segment[] {
  const joined: Segment[] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if (segment.kind === "text" && last?.kind === "text" && last.learned === segment.learned) {
      joined[joined.length - 1] = { ...last, text: last.text + segment.text };
    } else if (segment.kind !== "text" || segment.text.length > 0) {
      joined.push(segment);
    }
  }
  return joined;
}

function requireId(control: Extract<Segment, { kind: "control" }>["control"], tokenizer: Tokenizer): number {
  const id = controlIdOf(control, tokenizer);
  if (id !== undefined) return id;
  const name = typeof control === "string" ? `${control}_token` : control.token;
  const fix = "use a template whose control tokens the tokenizer has";
  throw new InputError("TEMPLATE_CONTROLS", {
    expected: `a tokenizer with the control token ${name}`,
    got: "none",
    fix,
  });
}
