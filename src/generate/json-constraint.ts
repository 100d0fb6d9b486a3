// Holds answers to a JSON Schema: grammar and vocabulary put together, the vocabulary read once for each tokenizer.
import type { Tokenizer } from "../text/tokenizer.ts";
import { Constraints, type Vocabulary, vocabularyOf } from "./constraint.ts";
import { Grammar } from "./grammar.ts";
import { schemaGrammar } from "./json-grammar.ts";

const vocabularies = new WeakMap<Tokenizer, Vocabulary>();

/** What holds answers to JSON that satisfies `schema`. Throws `JSON_SCHEMA` for what cannot be guaranteed, `GRAMMAR_SIZE`. */
export function jsonConstraints(tokenizer: Tokenizer, schema: unknown): Constraints {
  const grammar = new Grammar(schemaGrammar(schema));
  let vocabulary = vocabularies.get(tokenizer);
  if (vocabulary === undefined) vocabularies.set(tokenizer, (vocabulary = vocabularyOf(tokenizer)));
  return new Constraints(grammar, vocabulary);
}
