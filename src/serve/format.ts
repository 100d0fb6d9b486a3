// response_format: what holds an answer to JSON, or to a schema of it.
import type { Constraints } from "../generate/constraint.ts";
import { jsonConstraints } from "../generate/json-constraint.ts";
import type { ChatRequest } from "./chat-schema.ts";
import type { ServedModel } from "./models.ts";

/** What a request's answers are held to; undefined for plain text. Throws `JSON_SCHEMA`, `GRAMMAR_SIZE`. */
export function constraintsOf(
  format: ChatRequest["response_format"],
  { assistant: { tokenizer } }: ServedModel,
): Constraints | undefined {
  if (format == null || format.type === "text") return undefined;
  return jsonConstraints(tokenizer, format.type === "json_object" ? { type: "object" } : format.json_schema.schema);
}
