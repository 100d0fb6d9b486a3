// The model's own chat template, turned into segments: masks come out by construction here too.
import { InputError } from "../errors.ts";
import { imageMarker, imagesIn, type ChatTurn, type Part } from "./conversation.ts";
import {
  isSilent,
  renderFrame,
  shownParts,
  unusableTemplate,
  type ContentPlace,
  type ContentStyle,
  type Frame,
} from "./jinja-frame.ts";
import { parseJinja } from "./jinja.ts";
import type { Segment, Template } from "./segments.ts";
import { answer, contents, controlIdOf, textOf } from "./templates.ts";
import { isObject } from "./tokenizer-files.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The chat template in tokenizer_config.json: a string, or a list of named ones of which "default" is taken. */
export function chatTemplateOf(tokenizerConfig: unknown): string | undefined {
  const found = isObject(tokenizerConfig) ? tokenizerConfig["chat_template"] : undefined;
  if (typeof found === "string") return found;
  const named = Array.isArray(found)
    ? found.find((entry) => isObject(entry) && entry["name"] === "default")
    : undefined;
  return isObject(named) && typeof named["template"] === "string" ? named["template"] : undefined;
}

/**
 * A template from Jinja source (chat_template.jinja, or `chatTemplateOf`). It is rendered with stand-ins, the frame
 * around them is split at the tokenizer's control tokens, and the words take the stand-ins' places as plain text,
 * trimmed where the template trims. Learned are the answer and the first control token after it. A system message that
 * the template refuses or drops leads the first question instead.
 * Throws as `parseJinja`; `segments` throws as rendering does, `TEMPLATE_CONTENT` and `TEMPLATE_END`.
 */
export function modelTemplate(tokenizer: Tokenizer, source: string, where: string): Template {
  const jinja = parseJinja(source, where);
  const variables = {
    bos_token: tokenizer.bos?.token ?? "",
    eos_token: tokenizer.eos?.token ?? "",
    unk_token: tokenizer.unk?.token ?? "",
    pad_token: tokenizer.pad?.token ?? "",
  };
  const frameOf = remembered((turns: readonly ChatTurn[], style: ContentStyle) =>
    renderFrame(jinja, turns, style, variables, where),
  );
  return {
    name: "model",
    controls: [],
    segments(turns) {
      const attempts: (() => Segment[])[] = [];
      for (const given of turns[0]?.role === "system" ? [turns, leadWithSystem(turns)] : [turns]) {
        for (const style of ["string", "parts"] as const) {
          attempts.push(() => fillFrame(frameOf(given, style), given, style, tokenizer, where));
        }
      }
      return firstThatWorks(attempts);
    },
  };
}

/** Frames depend on who speaks and on the kinds of parts, not on the words: each is rendered once. */
function remembered(render: (turns: readonly ChatTurn[], style: ContentStyle) => Frame): typeof render {
  const known = new Map<string, Frame | InputError>();
  return (turns, style) => {
    const kind = (turn: ChatTurn): string => {
      if (isSilent(turn)) return "-";
      const parts = style === "parts" ? shownParts(turn.content) : [];
      return turn.role[0] + parts.map((part) => part.type[0]).join("");
    };
    const key = `${style} ${turns.map(kind).join(" ")}`;
    let frame = known.get(key);
    if (frame === undefined) {
      try {
        frame = render(turns, style);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        frame = error;
      }
      if (known.size >= 256) known.clear();
      known.set(key, frame);
    }
    if (frame instanceof InputError) throw frame;
    return frame;
  };
}

/** The result of the first attempt that works, or the first attempt's error. */
function firstThatWorks<T>(attempts: readonly (() => T)[]): T {
  const errors: InputError[] = [];
  for (const attempt of attempts) {
    try {
      return attempt();
    } catch (error) {
      if (!(error instanceof InputError) || error.code === "TEMPLATE_LIMIT") throw error;
      errors.push(error);
    }
  }
  throw errors[0];
}

/** The system message moved to the front of the first question. */
function leadWithSystem(turns: readonly ChatTurn[]): ChatTurn[] {
  const [system, question, ...rest] = turns;
  if (system === undefined || question === undefined) return [...turns];
  if (isSilent(system)) return [question, ...rest];
  const lead: Part = { type: "text", text: `${textOf(system.content)}\n\n` };
  return [{ ...question, content: [lead, ...question.content] }, ...rest];
}

function fillFrame(
  frame: Frame,
  turns: readonly ChatTurn[],
  style: ContentStyle,
  tokenizer: Tokenizer,
  where: string,
): Segment[] {
  const [first = "", ...texts] = frame.texts;
  const segments = frameSegments(first, tokenizer, style);
  for (const [i, place] of frame.places.entries()) {
    const turn = turns[place.turn] as ChatTurn;
    let after = texts[i] ?? "";
    if (turn.role === "assistant") {
      const ending = findEnd(after, tokenizer, where);
      const text = textOf(trimmed([{ type: "text", text: textOf(turn.content) }], place));
      segments.push(...answer(text, [takeSpaces(segments), ending.tail], { token: ending.token }));
      after = ending.remaining;
    } else {
      segments.push(...contents(trimmed(style === "string" ? turn.content : listed(turn.content, place.part), place)));
    }
    segments.push(...frameSegments(after, tokenizer, style));
  }
  // processors, which take lists, add BOS unless the template wrote it; a tokenizer's chat template is taken as it is
  const opening = segments.find((segment) => segment.kind !== "text" || segment.text.length > 0);
  const written = opening?.kind === "control" && controlIdOf(opening.control, tokenizer) === tokenizer.bos?.id;
  if (style === "parts" && !written) segments.unshift({ kind: "control", control: "bos", learned: false });
  const drawn = segments.filter((segment) => segment.kind === "image").length;
  if (drawn !== imagesIn(turns)) throw unusableTemplate(`${imagesIn(turns)} pictures`, String(drawn), where);
  return segments;
}

/** Takes the spaces that end the frame before an answer: they belong to the answer's first token (" A"). */
function takeSpaces(before: Segment[]): string {
  const last = before.at(-1);
  if (last?.kind !== "text") return "";
  const spaces = / *$/u.exec(last.text)?.[0] ?? "";
  before[before.length - 1] = { ...last, text: last.text.slice(0, last.text.length - spaces.length) };
  return spaces;
}

/** The control token that ends an answer: the first after it, with nothing but white space (learned) between. */
function findEnd(
  after: string,
  tokenizer: Tokenizer,
  where: string,
): { tail: string; token: string; remaining: string } {
  const pieces = tokenizer.splitControls(after);
  const end = pieces.find((piece) => typeof piece !== "string");
  const tail = typeof pieces[0] === "string" ? pieces[0] : "";
  if (typeof end !== "object" || tail.trim().length > 0) {
    const got = JSON.stringify(after.slice(0, 60));
    const fix = "use a shipped template, e.g. vicuna_v1 or chatml";
    throw new InputError("TEMPLATE_END", {
      expected: "a chat template that ends each answer with a control token",
      got,
      where,
      fix,
    });
  }
  return { tail, token: end.token, remaining: after.slice(after.indexOf(end.token) + end.token.length) };
}

/** A frame's control tokens and text; templates that take lists write the picture's marker themselves. */
function frameSegments(frame: string, tokenizer: Tokenizer, style: ContentStyle): Segment[] {
  const stretches = style === "parts" ? frame.split(imageMarker) : [frame];
  return stretches.flatMap((text, i): Segment[] => [
    ...(i === 0 ? [] : [{ kind: "image" } as const]),
    ...tokenizer
      .splitControls(text)
      .map((piece): Segment =>
        typeof piece === "string"
          ? { kind: "text", text: piece, learned: false }
          : { kind: "control", control: { token: piece.token }, learned: false },
      ),
  ]);
}

/** One part of a list, without the newline next to a picture, which the template writes. */
function listed(content: readonly Part[], index: number): Part[] {
  const shown = shownParts(content);
  const part = shown[index];
  if (part?.type !== "text") return [];
  const afterPicture = shown[index - 1]?.type === "image" ? part.text.replace(/^\n/u, "") : part.text;
  return [{ type: "text", text: shown[index + 1]?.type === "image" ? afterPicture.replace(/\n$/u, "") : afterPicture }];
}

function trimmed(parts: readonly Part[], { trimLeft, trimRight }: ContentPlace): Part[] {
  return parts.map((part, i) => {
    if (part.type === "image") return part;
    const left = trimLeft && i === 0 ? part.text.trimStart() : part.text;
    return { type: "text", text: trimRight && i === parts.length - 1 ? left.trimEnd() : left };
  });
}
