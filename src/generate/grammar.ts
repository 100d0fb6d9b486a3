// A grammar read character by character: what may come next is known at every place, so that nothing else is written.
import { InputError } from "../errors.ts";

/** Things that follow each other. */
export type Sequence = readonly Item[];

export type Item =
  | { readonly kind: "text"; readonly text: string }
  /** one character (UTF-16 unit) */
  | { readonly kind: "one"; readonly has: (code: number) => boolean }
  | { readonly kind: "either"; readonly of: readonly Sequence[] }
  /** any number of times */
  | { readonly kind: "many"; readonly of: Sequence }
  /** made when it is met: grammars may contain themselves */
  | { readonly kind: "later"; readonly make: () => Sequence };

/** What is still to come: an item, from a place in its text on, and what follows it. */
interface Rest {
  readonly id: number;
  readonly item: Item;
  readonly at: number;
  readonly next: Rest | undefined;
}

/** A place in a grammar; equal places are the same object. */
export interface Place {
  readonly id: number;
  /** what was read may be all */
  readonly complete: boolean;
  /** nothing more can come */
  readonly closed: boolean;
}

interface KnownPlace extends Place {
  readonly rests: readonly Rest[];
  readonly steps: Map<number, KnownPlace | undefined>;
}

/** hostile grammars grow; honest ones have a few alternatives at a place */
const mostAlternatives = 1000;
const mostPlaces = 20_000;
const mostWork = 3_000_000;

/** Follows a grammar; each step is computed once. */
export class Grammar {
  readonly start: Place;
  readonly #rests = new Map<string, Rest>();
  readonly #places = new Map<string, KnownPlace>();
  #work = 0;

  constructor(start: Sequence) {
    this.start = this.#place([this.#before(start, undefined)]);
  }

  /** The place after a character (UTF-16 unit); undefined when it may not come. Throws `GRAMMAR_SIZE`. */
  step(place: Place, code: number): Place | undefined {
    const { steps, rests } = place as KnownPlace;
    if (steps.has(code)) return steps.get(code);
    if ((this.#work += rests.length) > mostWork) throw tooLarge();
    const after = rests.flatMap((rest) => this.#after(rest, code));
    const next = after.length === 0 ? undefined : this.#place(after);
    steps.set(code, next);
    return next;
  }

  /** The place after a text; undefined when it may not come. */
  walk(place: Place, text: string): Place | undefined {
    let at: Place | undefined = place;
    for (let i = 0; at !== undefined && i < text.length; i++) at = this.step(at, text.charCodeAt(i));
    return at;
  }

  #after({ item, at, next }: Rest, code: number): (Rest | undefined)[] {
    if (item.kind === "one") return item.has(code) ? [next] : [];
    if (item.kind !== "text" || item.text.charCodeAt(at) !== code) return [];
    return [at + 1 < item.text.length ? this.#rest(item, at + 1, next) : next];
  }

  /** The place with all that may come at once after what is still to come. */
  #place(open: readonly (Rest | undefined)[]): KnownPlace {
    const found = new Map<number, Rest>();
    const seen = new Set<Rest | undefined>();
    const left = [...open];
    while (left.length > 0) {
      const rest = left.pop();
      if (seen.has(rest)) continue;
      seen.add(rest);
      if (seen.size > mostAlternatives) throw tooLarge();
      if (rest === undefined) continue;
      const { item, next } = rest;
      if (item.kind === "text" || item.kind === "one") found.set(rest.id, rest);
      else if (item.kind === "either") left.push(...item.of.map((each) => this.#before(each, next)));
      else if (item.kind === "many") left.push(next, this.#before(item.of, rest));
      else left.push(this.#before(item.make(), next));
    }
    const complete = seen.has(undefined);
    const rests = [...found.values()].sort((a, b) => a.id - b.id);
    const key = `${complete} ${rests.map(({ id }) => id).join(" ")}`;
    const known = this.#places.get(key);
    if (known) return known;
    if (this.#places.size >= mostPlaces) throw tooLarge();
    const place = { id: this.#places.size, complete, closed: rests.length === 0, rests, steps: new Map() };
    this.#places.set(key, place);
    return place;
  }

  #before(sequence: Sequence, next: Rest | undefined): Rest | undefined {
    return sequence.reduceRight<Rest | undefined>((rest, item) => {
      const empty = item.kind === "text" && item.text === "";
      return empty ? rest : this.#rest(item, 0, rest);
    }, next);
  }

  #rest(item: Item, at: number, next: Rest | undefined): Rest {
    const key = `${itemId(item)} ${at} ${next?.id ?? -1}`;
    const known = this.#rests.get(key);
    if (known) return known;
    const rest = { id: this.#rests.size, item, at, next };
    this.#rests.set(key, rest);
    return rest;
  }
}

const itemIds = new WeakMap<Item, number>();
let lastItem = 0;

function itemId(item: Item): number {
  const known = itemIds.get(item);
  if (known !== undefined) return known;
  itemIds.set(item, ++lastItem);
  return lastItem;
}

function tooLarge(): InputError {
  const fix = "simplify the schema";
  return new InputError("GRAMMAR_SIZE", {
    expected: "a grammar that stays small as it is read",
    got: "one that grows",
    fix,
  });
}
