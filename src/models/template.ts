// Which conversation template a model speaks: named, its own, or what it was trained with.
import { InputError } from "../errors.ts";
import { modelTemplate } from "../text/model-template.ts";
import type { Template } from "../text/segments.ts";
import { requireControls, templateNamed, templates } from "../text/templates.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export interface TemplateSources {
  /** as asked for: one of ours, or "model" for the model's own chat template */
  readonly name?: string | undefined;
  /** the model's own template, Jinja source */
  readonly chatTemplate?: string | undefined;
  /** the model, for errors */
  readonly where: string;
}

/**
 * The template by name; without a name the model's own, and vicuna_v1 for a model that has none.
 * Throws `TEMPLATE_UNKNOWN`, `TEMPLATE_MISSING`, `TEMPLATE_CONTROLS` when the tokenizer lacks its control tokens.
 */
export function templateFor(tokenizer: Tokenizer, { name, chatTemplate, where }: TemplateSources): Template {
  const chosen = name ?? (chatTemplate === undefined ? "vicuna_v1" : "model");
  if (chosen !== "model") {
    const template = templateNamed(chosen);
    requireControls(template, tokenizer);
    return template;
  }
  if (chatTemplate === undefined) {
    throw new InputError("TEMPLATE_MISSING", {
      expected: "a chat template of the model's own",
      got: "none",
      where,
      fix: `name one of ${Object.keys(templates).join(", ")}`,
    });
  }
  return modelTemplate(tokenizer, chatTemplate, where);
}
