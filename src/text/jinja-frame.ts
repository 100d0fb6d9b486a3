// The frame that a chat template puts around a conversation: rendered with stand-ins, cut at their places.
import { InputError } from "../errors.ts";
import type { ChatTurn, Part } from "./conversation.ts";
import type { JinjaTemplate } from "./jinja.ts";

/** How a template wants a turn's content: one string, or a list of parts as multimodal templates do. */
export type ContentStyle = "string" | "parts";

/** The place of a content in the frame; `part` counts the shown parts in the style "parts" and is 0 else. */
export interface ContentPlace {
  readonly turn: number;
  readonly part: number;
  /** the template trims this content's beginning */
  readonly trimLeft: boolean;
  readonly trimRight: boolean;
}

/** A frame text before each place, and one after the last. */
export interface Frame {
  readonly texts: readonly string[];
  readonly places: readonly ContentPlace[];
}

/** Trimmed by every kind of trimming, and never written by a template itself. */
const edge = "\f";

/**
 * Renders the template with a random stand-in for every text. The words themselves never enter Jinja: no word can
 * steer the template. Throws `TEMPLATE_CONTENT` when a stand-in does not come out exactly once.
 */
export function renderFrame(
  jinja: JinjaTemplate,
  turns: readonly ChatTurn[],
  style: ContentStyle,
  variables: Readonly<Record<string, string>>,
  where: string,
): Frame {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const nonce = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const standIn = (turn: number, part: number): string => `${edge}x${nonce}x${turn}x${part}x${edge}`;
  const messages = turns.map(({ role, content }, turn) => {
    if (isSilent({ role, content })) return { role, content: "" };
    if (style === "string") return { role, content: standIn(turn, 0) };
    const shown = shownParts(content).map(({ type }, part) =>
      type === "image" ? { type } : { type, text: standIn(turn, part) },
    );
    return { role, content: shown };
  });
  const rendered = jinja.render({ ...variables, messages, add_generation_prompt: false });

  const texts: string[] = [];
  const places: ContentPlace[] = [];
  let end = 0;
  for (const match of rendered.matchAll(new RegExp(`(${edge}?)x${nonce}x(\\d+)x(\\d+)x(${edge}?)`, "gu"))) {
    const [all, left, turn, part, right] = match;
    texts.push(rendered.slice(end, match.index));
    places.push({ turn: Number(turn), part: Number(part), trimLeft: left === "", trimRight: right === "" });
    end = match.index + all.length;
  }
  texts.push(rendered.slice(end));
  checkPlaces(places, turns, style, where);
  return { texts, places };
}

/** The parts that a list shows: a turn without any text shows one empty text, else it would leave no stand-in. */
export function shownParts(content: readonly Part[]): readonly Part[] {
  return content.some((part) => part.type === "text") ? content : [...content, { type: "text", text: "" }];
}

/** An empty system message: templates ask whether there is one, so it is shown to them as it is. */
export function isSilent({ role, content }: ChatTurn): boolean {
  return role === "system" && content.every((part) => part.type === "text" && part.text.length === 0);
}

/** A template may drop, repeat or transform the words; only one that copies them once is usable. */
function checkPlaces(
  places: readonly ContentPlace[],
  turns: readonly ChatTurn[],
  style: ContentStyle,
  where: string,
): void {
  for (const [turn, { role, content }] of turns.entries()) {
    if (isSilent({ role, content })) continue;
    const parts = style === "string" ? [{ type: "text" }] : shownParts(content);
    for (const [part, { type }] of parts.entries()) {
      if (type === "image") continue;
      const times = places.filter((place) => place.turn === turn && place.part === part).length;
      if (times !== 1) throw unusableTemplate(`the ${role}'s words once`, `${times} times in turn ${turn + 1}`, where);
    }
  }
}

export function unusableTemplate(expected: string, got: string, where: string): InputError {
  const fix = "use a shipped template, e.g. vicuna_v1 or chatml";
  return new InputError("TEMPLATE_CONTENT", { expected: `a chat template that writes ${expected}`, got, where, fix });
}
