// Conversations as the templates take them: turns made of text and pictures, and LLaVA's strings turned into them.
import { InputError } from "../errors.ts";

/** A stretch of plain text, or the place of one picture. */
export type Part = { readonly type: "text"; readonly text: string } | { readonly type: "image" };

export interface ChatTurn {
  readonly role: "system" | "user" | "assistant";
  readonly content: readonly Part[];
}

/** What LLaVA's JSON writes where a picture stands. */
export const imageMarker = "<image>";

/** A turn of plain text; `<image>` in it is text. */
export function textTurn(role: ChatTurn["role"], text: string): ChatTurn {
  return { role, content: text.length === 0 ? [] : [{ type: "text", text }] };
}

/**
 * Splits a human turn of LLaVA's JSON at its first `images` markers; further markers stay plain text.
 * Throws `IMAGE_MARKERS` when there are fewer markers than pictures.
 */
export function partsOf(value: string, images: number): Part[] {
  const found = value.split(imageMarker);
  if (found.length - 1 < images) {
    const got = `${found.length - 1} in ${JSON.stringify(value.slice(0, 60))}`;
    const fix = "write the marker where each picture stands";
    throw new InputError("IMAGE_MARKERS", { expected: `${images} ${imageMarker}`, got, fix });
  }
  const texts = [...found.slice(0, images), found.slice(images).join(imageMarker)];
  return texts.flatMap((text, i): Part[] => [
    ...(i === 0 ? [] : [{ type: "image" } as const]),
    ...(text.length === 0 ? [] : [{ type: "text", text } as const]),
  ]);
}

/**
 * LLaVA's turns as chat turns. Pictures are bound to the markers of the human turns in order and stay where their
 * marker stands (LLaVA itself moves every marker to the front); markers in answers and beyond the last picture are
 * plain text. Throws `IMAGE_MARKERS` when the human turns hold fewer markers than there are pictures.
 */
export function turnsOf(
  conversations: readonly { readonly from: "human" | "gpt"; readonly value: string }[],
  images: number,
): ChatTurn[] {
  let left = images;
  const turns = conversations.map(({ from, value }): ChatTurn => {
    if (from === "gpt") return textTurn("assistant", value);
    const here = Math.min(left, value.split(imageMarker).length - 1);
    left -= here;
    return { role: "user", content: partsOf(value, here) };
  });
  if (left === 0) return turns;
  const fix = `write ${imageMarker} in the human turns, once for each picture`;
  throw new InputError("IMAGE_MARKERS", {
    expected: `${images} ${imageMarker} in the human turns`,
    got: String(images - left),
    fix,
  });
}

export function imagesIn(turns: readonly ChatTurn[]): number {
  return turns.reduce((sum, turn) => sum + turn.content.filter((part) => part.type === "image").length, 0);
}

/**
 * An optional system message, then user and assistant in strict turn, pictures only with the user; `last` is who
 * speaks last. Throws `CONVERSATION_ROLES`.
 */
export function checkTurns(turns: readonly ChatTurn[], last: "user" | "assistant"): void {
  const said = turns[0]?.role === "system" ? turns.slice(1) : turns;
  const fix = "let human and assistant speak in turn, human first";
  const fail = (expected: string, got: string, i: number): never => {
    throw new InputError("CONVERSATION_ROLES", {
      expected,
      got,
      where: `turn ${i + turns.length - said.length + 1}`,
      fix,
    });
  };
  for (const [i, turn] of said.entries()) {
    const expected = i % 2 === 0 ? "user" : "assistant";
    if (turn.role !== expected) fail(`a turn of the ${expected}`, turn.role, i);
  }
  if (said.at(-1)?.role !== last)
    fail(`a last turn of the ${last}`, said.at(-1)?.role ?? "no turn", Math.max(0, said.length - 1));
  for (const turn of turns) {
    if (turn.role === "user" || turn.content.every((part) => part.type === "text")) continue;
    throw new InputError("CONVERSATION_ROLES", {
      expected: "pictures in the user's turns only",
      got: `a picture in a turn of the ${turn.role}`,
      fix,
    });
  }
}
