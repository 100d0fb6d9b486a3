// OpenAI's messages → the turns that templates take, and the addresses of their pictures in order.
import { userTurn } from "../generate/assistant.ts";
import { type ChatTurn, textTurn } from "../text/conversation.ts";
import type { ChatMessage } from "./chat-schema.ts";
import { RequestError } from "./errors.ts";

/** A picture as it was asked for. */
export interface PictureAddress {
  readonly url: string;
  readonly detail: "auto" | "low" | "high";
  /** the field it came in, for errors */
  readonly where: string;
}

export interface Said {
  readonly turns: readonly ChatTurn[];
  readonly pictures: readonly PictureAddress[];
}

/** What a message, or the picture in one of its parts, is called in the request. */
export type FieldName = (message: number, part?: number) => string;

const chatField: FieldName = (message, part) =>
  `messages[${message}]${part === undefined ? "" : `.content[${part}].image_url.url`}`;

interface Spoken {
  readonly role: "user" | "assistant";
  readonly texts: string[];
  pictures: number;
}

/**
 * Messages of one speaker in a row become one turn, system messages one in front. A turn's pictures stand before its
 * words, as in LLaVA's own training. Throws `INVALID_VALUE` for a system message in the middle.
 */
export function turnsOfMessages(messages: readonly ChatMessage[], field: FieldName = chatField): Said {
  const system: string[] = [];
  const spoken: Spoken[] = [];
  const pictures: PictureAddress[] = [];
  for (const [i, message] of messages.entries()) {
    const words = textsOf(message);
    if (message.role === "system" || message.role === "developer") {
      if (spoken.length > 0) throw lateSystem(field(i));
      system.push(...words);
      continue;
    }
    const last = spoken.at(-1);
    const turn = last?.role === message.role ? last : { role: message.role, texts: [], pictures: 0 };
    if (turn !== last) spoken.push(turn);
    turn.texts.push(...words);
    const shown = addressesOf(message, (part) => field(i, part));
    turn.pictures += shown.length;
    pictures.push(...shown);
  }
  const turns = spoken.map(({ role, texts, pictures: count }): ChatTurn => {
    const words = texts.join("\n");
    return role === "user" ? userTurn(words, count) : textTurn("assistant", words);
  });
  const lead = system.length === 0 ? [] : [textTurn("system", system.join("\n"))];
  return { turns: [...lead, ...turns], pictures };
}

function textsOf({ content }: ChatMessage): string[] {
  if (typeof content === "string") return [content];
  return (content ?? []).flatMap((part) => (part.type === "text" ? [part.text] : []));
}

function addressesOf({ content }: ChatMessage, field: (part: number) => string): PictureAddress[] {
  if (typeof content === "string") return [];
  return (content ?? []).flatMap((part, i): PictureAddress[] =>
    part.type === "text" ? [] : [{ ...part.image_url, where: field(i) }],
  );
}

function lateSystem(where: string): RequestError {
  return new RequestError(400, "INVALID_VALUE", {
    expected: "system messages before all others",
    got: "one behind them",
    where,
  });
}
