// A shipped template as Jinja source, so that other tools (transformers, vLLM) write conversations as we train them.
import { imageMarker } from "./conversation.ts";
import { layouts, type Layout, type Piece } from "./layouts.ts";

/**
 * The chat template (chat_template.jinja) of a shipped template; undefined for `plain`, which is no chat. Contents may
 * be strings or lists of parts; a listed picture becomes `<image>` and a newline. As in the published LLaVA
 * checkpoints the first BOS is left to the tokenizer; `addsBos` says whether later rounds begin with it.
 */
export function chatTemplateSource(name: string, addsBos: boolean): string | undefined {
  const layout: Layout | undefined = Object.hasOwn(layouts, name) ? layouts[name as keyof typeof layouts] : undefined;
  if (layout === undefined) return undefined;
  const write = (pieces: readonly Piece[]): string => pieces.map((piece) => writePiece(piece, addsBos)).join("");
  const [beforeSystem, afterSystem] = layout.aroundSystem;
  const [beforeQuestion, afterQuestion] = layout.aroundQuestion;
  const [lead, tail] = layout.aroundAnswer;
  const system = `{%- if system -%}${write(beforeSystem)}{{ system }}${write(afterSystem)}{%- endif -%}`;
  const open = write(layout.openAnswer);
  return [
    "{%- macro show(content) -%}{%- if content is string -%}{{ content }}{%- else -%}{%- for part in content -%}",
    `{%- if part['type'] == 'image' -%}${quote(`${imageMarker}\n`)}{%- else -%}{{ part['text'] }}{%- endif -%}`,
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}",
    "{%- if messages[0]['role'] == 'system' -%}{%- set system = show(messages[0]['content']) -%}{%- set said = messages[1:] -%}",
    `{%- else -%}{%- set system = ${literal(layout.system)} -%}{%- set said = messages -%}{%- endif -%}`,
    layout.systemInQuestion ? "" : system,
    "{%- for message in said -%}{%- if message['role'] == 'user' -%}",
    `{%- if not loop.first -%}${write(layout.between)}{%- endif -%}${write(beforeQuestion)}`,
    layout.systemInQuestion ? `{%- if loop.first -%}${system}{%- endif -%}` : "",
    `{{ show(message['content']) }}${write(afterQuestion)}{%- else -%}`,
    `${open}{%- set answer = show(message['content']) -%}{%- if answer -%}${quote(lead)}{{ answer }}${quote(tail)}{%- endif -%}`,
    `${writePiece({ control: layout.endAnswer }, addsBos)}${write(layout.afterAnswer)}{%- endif -%}{%- endfor -%}`,
    `{%- if add_generation_prompt -%}${open}{%- endif -%}`,
  ].join("");
}

function writePiece(piece: Piece, addsBos: boolean): string {
  if (typeof piece === "string") return quote(piece);
  if (piece.control === "bos") return addsBos ? "{{ bos_token }}" : "";
  return piece.control === "eos" ? "{{ eos_token }}" : quote(piece.control.token);
}

/** Text as an expression: white space beside a `{%-` would be stripped from bare text. */
function quote(text: string): string {
  return text.length === 0 ? "" : `{{ ${literal(text)} }}`;
}

function literal(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n")}'`;
}
