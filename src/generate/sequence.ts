// One request under way: the tokens it still has to feed, and the ids it has got.
import { BugError } from "../errors.ts";
import type { TokenSource } from "./chunk.ts";
import { type FinishReason, type Generation, type GenerationRequest, lengthOf, type Prompt } from "./generation.ts";
import type { PrefixTree, TokenKey, TokenNode } from "./prefix-tree.ts";

/** A token of a prompt: what it is in the cache, and what it embeds. */
export interface PromptToken {
  readonly key: TokenKey;
  readonly source: TokenSource;
}

interface Settle {
  readonly resolve: (generation: Generation) => void;
  readonly reject: (error: unknown) => void;
}

export class Sequence {
  readonly #request: GenerationRequest;
  readonly #tree: PrefixTree;
  readonly #settle: Settle;
  /** the prompt and the answer so far */
  readonly #tokens: PromptToken[];
  readonly #ids: number[] = [];
  readonly #most: number;
  #node: TokenNode;
  #fed = 0;
  #cached = 0;
  #reason: FinishReason | undefined;

  constructor(request: GenerationRequest, maxPositions: number, tree: PrefixTree, settle: Settle) {
    this.#request = request;
    this.#tree = tree;
    this.#settle = settle;
    this.#tokens = tokensOf(request.prompt);
    this.#most = Math.min(request.maxNewTokens, maxPositions - this.#tokens.length);
    this.#node = tree.root;
    tree.move(undefined, this.#node);
  }

  get interrupted(): boolean {
    return this.#request.signal?.aborted === true;
  }

  /** tokens still to feed; 1 means that the next one's logits choose a new id */
  get left(): number {
    return this.#tokens.length - this.#fed;
  }

  /** the next token to feed */
  get next(): PromptToken {
    return this.#tokens[this.#fed]!;
  }

  /** the last token fed */
  get node(): TokenNode {
    return this.#node;
  }

  /** The next token has been fed as `node`. */
  advance(node: TokenNode, cached: boolean): void {
    this.#tree.move(this.#node, node);
    this.#node = node;
    this.#fed++;
    if (cached) this.#cached++;
  }

  /** Chooses the next id; returns true when the answer is complete. */
  take(logits: Float32Array): boolean {
    const { sample, stopIds, onToken } = this.#request;
    const id = sample(logits);
    this.#ids.push(id);
    const stopped = onToken?.(id) === true || stopIds.includes(id);
    if (stopped) this.#reason = "stop";
    else if (this.#ids.length >= this.#most) this.#reason = "length";
    else this.#tokens.push({ key: id, source: id });
    return this.#reason !== undefined;
  }

  finish(): void {
    this.#tree.move(this.#node, undefined);
    this.#settle.resolve({
      ids: this.#ids,
      finishReason: this.#reason ?? "interrupted",
      promptTokens: lengthOf(this.#request.prompt),
      cachedTokens: this.#cached,
    });
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }
}

/** Every token of a prompt, those of pictures in their places. */
export function tokensOf({ ids, pictures = [], salt }: Prompt): PromptToken[] {
  const tokens = Array.from(ids, (id): PromptToken => ({ key: id, source: id }));
  for (const { start, count, picture } of pictures) {
    if (start < 0 || start + count > tokens.length) {
      const got = `${count} tokens from ${start}`;
      throw new BugError("PICTURE_PLACE", { expected: `a picture within ${tokens.length} tokens`, got });
    }
    for (let row = 0; row < count; row++) {
      tokens[start + row] = { key: `${picture.key}#${row}`, source: { rows: picture.rows, row } };
    }
  }
  // another first token leads to another branch of the tree
  if (salt !== undefined && tokens[0]) tokens[0] = { ...tokens[0], key: `${salt}/${tokens[0].key}` };
  return tokens;
}
