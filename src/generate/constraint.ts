// Holds an answer to a grammar: of each step's tokens only those whose text may come next are left to choose from.
import { RunError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Grammar, Place } from "./grammar.ts";

/** Follows one answer. */
export interface Constraint {
  /** The logits [V] with every token that may not come put out of reach. Throws `GRAMMAR_STUCK`, `GRAMMAR_SIZE`. */
  mask(logits: Float32Array, stopIds: readonly number[]): Float32Array;
  /** Takes the chosen token; true when nothing can come after it. */
  push(id: number): boolean;
}

/** A vocabulary in the order of its texts, so that tokens which begin alike are tried together. */
export interface Vocabulary {
  readonly ids: Int32Array;
  readonly texts: readonly string[];
  /** how many characters each has in common with the one before */
  readonly shared: Int32Array;
}

/** below every logit, and still a number */
const outOfReach = -1e30;

/** The tokens that are text of their own; parts of characters are left out. */
export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  // behind another token, so that the space that begins a word is kept
  const [anchor] = tokenizer.encode("a");
  const lead = tokenizer.decode([anchor!]).length;
  const known: { id: number; text: string }[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (tokenizer.decode([id], { skipControl: true }) === "" && tokenizer.decode([id]) !== "") continue;
    const text = tokenizer.decode([anchor!, id]).slice(lead);
    if (text !== "" && !text.includes("\uFFFD")) known.push({ id, text });
  }
  known.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.id - b.id));
  return {
    ids: Int32Array.from(known, ({ id }) => id),
    texts: known.map(({ text }) => text),
    shared: Int32Array.from(known, ({ text }, i) => sharedLength(text, known[i - 1]?.text ?? "")),
  };
}

/** What the answers of one request share: which tokens may come at a place is found out once. */
export class Constraints {
  readonly #grammar: Grammar;
  readonly #vocabulary: Vocabulary;
  readonly #texts: ReadonlyMap<number, string>;
  readonly #allowed = new Map<Place, Int32Array>();

  constructor(grammar: Grammar, vocabulary: Vocabulary) {
    this.#grammar = grammar;
    this.#vocabulary = vocabulary;
    this.#texts = new Map(vocabulary.texts.map((text, i) => [vocabulary.ids[i]!, text]));
  }

  /** For one more answer. */
  start(): Constraint {
    let place = this.#grammar.start;
    return {
      mask: (logits, stopIds) => {
        const allowed = this.#at(place);
        const ends = place.complete ? stopIds : [];
        if (allowed.length + ends.length === 0) throw stuck();
        const masked = new Float32Array(logits.length).fill(outOfReach);
        for (const id of allowed) masked[id] = logits[id]!;
        for (const id of ends) masked[id] = logits[id]!;
        return masked;
      },
      push: (id) => {
        const text = this.#texts.get(id);
        if (text !== undefined) place = this.#grammar.walk(place, text) ?? place;
        return place.closed;
      },
    };
  }

  #at(place: Place): Int32Array {
    const known = this.#allowed.get(place);
    if (known) return known;
    const { ids, texts, shared } = this.#vocabulary;
    const found: number[] = [];
    // places after each character of the token before, as far as it could be followed
    let path: Place[] = [place];
    let failed = Infinity;
    for (let i = 0; i < ids.length; i++) {
      const [word, from] = [texts[i]!, shared[i]!];
      if (from > failed) continue;
      failed = Infinity;
      path = path.slice(0, from + 1);
      for (let at = path.length - 1; at < word.length; at++) {
        const next = this.#grammar.step(path[at]!, word.charCodeAt(at));
        if (next === undefined) {
          failed = at;
          break;
        }
        path.push(next);
      }
      if (failed === Infinity) found.push(ids[i]!);
    }
    const allowed = Int32Array.from(found);
    this.#allowed.set(place, allowed);
    return allowed;
  }
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

function stuck(): RunError {
  return new RunError("GRAMMAR_STUCK", { expected: "a token that may come next", got: "none in this vocabulary" });
}
