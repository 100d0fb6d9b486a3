// What the key/value cache holds: a tree of tokens, so that prompts which begin alike share their beginning.
import { BugError } from "../errors.ts";

/** A token by what it is: its id, or a picture's content and the token's place in it. Equal keys embed equally. */
export type TokenKey = number | string;

/** A token after a certain prefix, and the cache slot of its key and value. */
export interface TokenNode {
  readonly key: TokenKey;
  /** row of every layer's cache; -1 for the root */
  readonly slot: number;
  /** place in its sequence, from 0; -1 for the root */
  readonly position: number;
  readonly parent: TokenNode | undefined;
  readonly children: Map<TokenKey, TokenNode>;
  /** sequences that end here for now; with users, a token and those before it stay */
  users: number;
  /** when a sequence through it last ended; never earlier than that of its children */
  lastUsed: number;
}

/**
 * Tokens and their slots. Sequences hold their last token; what no sequence holds stays until its slots are needed,
 * and goes from the ends of the least recently used prompts on.
 */
export class PrefixTree {
  #root = node(-1, -1, -1, undefined);
  /** by slot */
  #nodes: (TokenNode | undefined)[] = [];
  /** free slots in descending order, so that new tokens lie side by side */
  #free: number[] = [];
  #clock = 0;

  constructor(capacity: number) {
    this.grow(capacity);
  }

  /** the empty prefix */
  get root(): TokenNode {
    return this.#root;
  }

  get capacity(): number {
    return this.#nodes.length;
  }

  /** From this slot on all are free. */
  get used(): number {
    let slots = this.#nodes.length;
    while (slots > 0 && this.#nodes[slots - 1] === undefined) slots--;
    return slots;
  }

  /** Adds slots; what is cached stays where it is. */
  grow(capacity: number): void {
    const added = Array.from({ length: capacity - this.capacity }, (_, i) => capacity - 1 - i);
    this.#free = [...added, ...this.#free];
    this.#nodes = [...this.#nodes, ...added.map(() => undefined)];
  }

  /** Makes `count` slots free where it can by dropping tokens that no sequence holds; returns whether it could. */
  makeRoom(count: number): boolean {
    while (this.#free.length < count) {
      const ends = this.#nodes.filter((each) => each !== undefined && isUnusedEnd(each)) as TokenNode[];
      if (ends.length === 0) return false;
      const oldest = ends.reduce((least, { lastUsed }) => Math.min(least, lastUsed), Infinity);
      for (const end of ends) if (end.lastUsed === oldest) this.#dropChain(end);
      this.#free.sort((a, b) => b - a);
    }
    return true;
  }

  /** Adds a token after `parent`; a slot must be free (`makeRoom`). */
  add(parent: TokenNode, key: TokenKey): TokenNode {
    const slot = this.#free.pop();
    if (slot === undefined) throw new BugError("CACHE_FULL", { expected: "a free slot", got: "none" });
    const added = node(key, slot, parent.position + 1, parent);
    parent.children.set(key, added);
    this.#nodes[slot] = added;
    return added;
  }

  /** Moves a sequence's hold from one token to another; without `to` the sequence has ended. */
  move(from: TokenNode | undefined, to: TokenNode | undefined): void {
    if (to) to.users++;
    if (!from) return;
    from.users--;
    if (to) return;
    this.#clock++;
    for (let each: TokenNode | undefined = from; each; each = each.parent) each.lastUsed = this.#clock;
  }

  /** Forgets everything; no sequence may be under way. */
  clear(): void {
    const { capacity } = this;
    this.#root = node(-1, -1, -1, undefined);
    this.#nodes = [];
    this.#free = [];
    this.grow(capacity);
  }

  /** Drops a token, and those before it while they served the same sequence alone. */
  #dropChain(end: TokenNode): void {
    for (let each = end; each.parent && isUnusedEnd(each) && each.lastUsed === end.lastUsed; each = each.parent) {
      each.parent.children.delete(each.key);
      this.#nodes[each.slot] = undefined;
      this.#free.push(each.slot);
    }
  }
}

function isUnusedEnd({ users, children }: TokenNode): boolean {
  return users === 0 && children.size === 0;
}

function node(key: TokenKey, slot: number, position: number, parent: TokenNode | undefined): TokenNode {
  return { key, slot, position, parent, children: new Map(), users: 0, lastUsed: 0 };
}
