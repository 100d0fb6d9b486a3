// The conversation templates by name, and whether a tokenizer has the control tokens that a template needs.
import { InputError } from "../errors.ts";
import type { ChatTurn, Part } from "./conversation.ts";
import { layouts, type Layout, type Piece } from "./layouts.ts";
import type { Control, Segment, Template } from "./segments.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * LLaVA's stage 1 (`plain`): the picture, then the caption and a newline. The human's words are dropped; learned are the
 * caption and the newline. No EOS is appended, as in LLaVA: this stage aligns the projector and never chats.
 */
const plain: Template = {
  name: "plain",
  controls: [],
  segments(turns) {
    const said = turns.filter((turn) => turn.role !== "system");
    const [question, answer] = said;
    if (said.length !== 2 || question === undefined || answer === undefined) {
      throw new InputError("TEMPLATE_TURNS", {
        expected: "one human turn and one caption for the template plain",
        got: `${said.length} turns`,
        fix: "use another template for conversations, e.g. vicuna_v1 or chatml",
      });
    }
    return [
      { kind: "control", control: "bos", learned: false },
      ...question.content.filter((part) => part.type === "image").map((): Segment => ({ kind: "image" })),
      { kind: "text", text: `${textOf(answer.content)}\n`, learned: true },
    ];
  },
};

/** The templates that we ship, by the name that a recipe gives. The model's own is made by `modelTemplate`. */
export const templates: Readonly<Record<string, Template>> = {
  plain,
  ...Object.fromEntries(Object.entries(layouts).map(([name, layout]) => [name, templateOf(name, layout)])),
};

/** A shipped template by name. Throws `TEMPLATE_UNKNOWN` with the names there are. */
export function templateNamed(name: string): Template {
  const template = Object.hasOwn(templates, name) ? templates[name] : undefined;
  if (template !== undefined) return template;
  throw new InputError("TEMPLATE_UNKNOWN", {
    expected: `one of ${Object.keys(templates).join(", ")}, model`,
    got: JSON.stringify(name),
    fix: "name one of these templates in the recipe",
  });
}

/** Throws `TEMPLATE_CONTROLS` with the control tokens that the tokenizer lacks and the templates that would fit. */
export function requireControls(template: Template, tokenizer: Tokenizer): void {
  const missing = missingControls(template, tokenizer);
  if (missing.length === 0) return;
  const fitting = Object.values(templates).filter((other) => missingControls(other, tokenizer).length === 0);
  throw new InputError("TEMPLATE_CONTROLS", {
    expected: `a tokenizer with the control tokens of the template ${template.name}`,
    got: `none for ${missing.join(", ")}`,
    fix: `use a template that fits: ${fitting.map((other) => other.name).join(", ")}`,
  });
}

function missingControls(template: Template, tokenizer: Tokenizer): string[] {
  const absent = template.controls.filter((control) => controlIdOf(control, tokenizer) === undefined);
  return absent.map((control) => (typeof control === "string" ? `${control}_token` : control.token));
}

/** The id of a control token; undefined when the tokenizer has none. */
export function controlIdOf(control: Control, tokenizer: Tokenizer): number | undefined {
  return typeof control === "string" ? tokenizer[control]?.id : tokenizer.controlId(control.token);
}

function templateOf(name: string, layout: Layout): Template {
  const everyPiece = [layout.aroundSystem, layout.aroundQuestion].flat(2).concat(layout.openAnswer, layout.afterAnswer);
  const controls = new Map<string, Control>();
  for (const control of [
    layout.endAnswer,
    ...everyPiece.flatMap((piece) => (typeof piece === "string" ? [] : [piece.control])),
  ]) {
    controls.set(JSON.stringify(control), control);
  }
  return { name, controls: [...controls.values()], segments: (turns) => writeLayout(layout, turns) };
}

function writeLayout(layout: Layout, turns: readonly ChatTurn[]): Segment[] {
  const given = turns[0]?.role === "system" ? turns[0].content : undefined;
  const system = given ?? (layout.system === "" ? [] : [{ type: "text", text: layout.system } as const]);
  const written = system.length === 0 ? [] : surround(layout.aroundSystem, system);
  const [beforeQuestion, afterQuestion] = layout.aroundQuestion;
  const segments = [...frame(layout.start), ...(layout.systemInQuestion ? [] : written)];
  let first = true;
  for (const turn of turns) {
    if (turn.role === "user") {
      if (!first) segments.push(...frame(layout.between));
      const inside = first && layout.systemInQuestion ? written : [];
      segments.push(...frame(beforeQuestion), ...inside, ...contents(turn.content), ...frame(afterQuestion));
      first = false;
    } else if (turn.role === "assistant") {
      segments.push(
        ...frame(layout.openAnswer),
        ...answer(textOf(turn.content), layout.aroundAnswer, layout.endAnswer),
        ...frame(layout.afterAnswer),
      );
    }
  }
  return segments;
}

function surround([before, after]: Layout["aroundSystem"], content: readonly Part[]): Segment[] {
  return [...frame(before), ...contents(content), ...frame(after)];
}

function frame(pieces: readonly Piece[]): Segment[] {
  return pieces.map((piece) =>
    typeof piece === "string"
      ? { kind: "text", text: piece, learned: false }
      : { kind: "control", control: piece.control, learned: false },
  );
}

/** A question's or a system message's parts: nothing in them is learned. */
export function contents(parts: readonly Part[]): Segment[] {
  return parts.map((part) =>
    part.type === "image" ? { kind: "image" } : { kind: "text", text: part.text, learned: false },
  );
}

/** A learned answer and the learned token that ends it; an empty answer is that token alone. */
export function answer(text: string, [before, after]: readonly [string, string], end: Control): Segment[] {
  const ending: Segment = { kind: "control", control: end, learned: true };
  return text.length === 0 ? [ending] : [{ kind: "text", text: `${before}${text}${after}`, learned: true }, ending];
}

export function textOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}
