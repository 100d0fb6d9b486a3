// response_format: what holds an answer to JSON, or to a schema of it.
import { Constraints, type Vocabulary, vocabularyOf } from "../generate/constraint.ts";
import { Grammar } from "../generate/grammar.ts";
import { jsonObject, schemaGrammar } from "../generate/json-grammar.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ChatRequest } from "./chat-schema.ts";
import type { ServedModel } from "./models.ts";

const vocabularies = new WeakMap<Tokenizer, Vocabulary>();

/** What a request's answers are held to; undefined for plain text. Throws `JSON_SCHEMA`, `GRAMMAR_SIZE`. */
export function constraintsOf(
  format: ChatRequest["response_format"],
  { assistant: { tokenizer } }: ServedModel,
): Constraints | undefined {
  if (format == null || format.type === "text") return undefined;
  const grammar = new Grammar(format.type === "json_object" ? jsonObject : schemaGrammar(format.json_schema.schema));
  let vocabulary = vocabularies.get(tokenizer);
  if (vocabulary === undefined) vocabularies.set(tokenizer, (vocabulary = vocabularyOf(tokenizer)));
  return new Constraints(grammar, vocabulary);
}
