// Answers as token ids: requests run side by side, share what they have in common, and join or leave at every step.
import { InputError } from "../errors.ts";
import type { LanguageConfig } from "../models/config.ts";
import type { Engine } from "../runtime/engine.ts";
import type { NewToken } from "./chunk.ts";
import { largestChunk } from "./chunk-sizes.ts";
import { createDecoder, type Decoder, type LanguageWeights } from "./decoder.ts";
import { PrefixTree, type TokenNode } from "./prefix-tree.ts";
import { type Generation, type GenerationRequest, lengthOf } from "./generation.ts";
import { Sequence } from "./sequence.ts";

export interface DecodingOptions {
  readonly config: LanguageConfig;
  /** cache slots to begin with (a power of two, 256 unless told); more keeps more earlier prompts */
  readonly capacity?: number;
}

/** `parameter` and what goes with it: the language model's weights in the engine, by Hugging Face's names. */
export interface GeneratorOptions extends LanguageWeights, DecodingOptions {
  readonly engine: Engine;
}

export interface Generator {
  readonly config: LanguageConfig;
  /**
   * Continues a prompt. Requests under way together are computed together.
   * Throws `PROMPT_TOO_LONG`, `LOGITS_NOT_FINITE`, and what the engine throws.
   */
  generate(request: GenerationRequest): Promise<Generation>;
  /** Forgets all cached prompts: after the weights have changed. Nothing may be under way. */
  reset(): void;
  /** Frees the cache and the programs; the weights are the caller's. */
  release(): Promise<void>;
}

const firstCapacity = 256;

/** A generator over weights in the engine. */
export function createGenerator(options: GeneratorOptions): Generator {
  return generatorOver(createDecoder(options.engine, options.config, options), options);
}

/** A generator over a decoder, which is released with it. */
export function generatorOver(decoder: Decoder, { config, capacity = firstCapacity }: DecodingOptions): Generator {
  const tree = new PrefixTree(capacity);
  const active = new Set<Sequence>();
  let running: Promise<void> | undefined;
  const runAll = async (): Promise<void> => {
    // requests made in the same turn of the event loop start together
    await undefined;
    while (active.size > 0) await step(tree, decoder, active);
    // at once: a request that comes later starts the next loop
    running = undefined;
  };
  return {
    config,
    generate: (request) =>
      new Promise((resolve, reject) => {
        checkLength(request, config.maxPositions);
        active.add(new Sequence(request, config.maxPositions, tree, { resolve, reject }));
        running ??= runAll();
      }),
    reset: () => {
      tree.clear();
      decoder.reset();
    },
    release: async () => {
      await running;
      await decoder.release();
    },
  };
}

function checkLength({ prompt, maxNewTokens }: GenerationRequest, maxPositions: number): void {
  const length = lengthOf(prompt);
  if (length > 0 && length < maxPositions && maxNewTokens >= 1) return;
  throw new InputError("PROMPT_TOO_LONG", {
    expected: `a prompt of 1 to ${maxPositions - 1} tokens, pictures included, and at least 1 new token`,
    got: `${length} tokens and ${maxNewTokens} new ones`,
    fix: "ask with fewer words, turns or pictures",
  });
}

/** One run of the decoder: every sequence moves on by a token, or by a part of its prompt. */
async function step(tree: PrefixTree, decoder: Decoder, active: Set<Sequence>): Promise<void> {
  for (const sequence of active) if (sequence.interrupted) finish(active, sequence);
  try {
    const { tokens, answering } = plan(tree, active);
    if (tokens.length === 0) return;
    const logits = await decoder.run(tokens, tree);
    const wanted = tokens.filter((token) => token.wanted);
    const logitsOf = new Map(wanted.map(({ node }, i) => [node, logits[i]!]));
    for (const [sequence, node] of answering) if (sequence.take(logitsOf.get(node)!)) finish(active, sequence);
  } catch (error) {
    for (const sequence of active) sequence.fail(error);
    active.clear();
    // what the cache holds after a failed run is unknown, and NaN would reach even those who must not see it
    tree.clear();
    decoder.reset();
  }
}

function finish(active: Set<Sequence>, sequence: Sequence): void {
  active.delete(sequence);
  sequence.finish();
}

interface Plan {
  readonly tokens: readonly NewToken[];
  /** sequences whose next token comes out of this run, and after which token */
  readonly answering: ReadonlyMap<Sequence, TokenNode>;
}

/** The next tokens to compute: those of answers first, so that a long prompt does not hold them up. */
function plan(tree: PrefixTree, active: ReadonlySet<Sequence>): Plan {
  const tokens = new Map<TokenNode, { -readonly [K in keyof NewToken]: NewToken[K] }>();
  const answering = new Map<Sequence, TokenNode>();
  for (const sequence of [...active].sort((a, b) => a.left - b.left)) {
    while (sequence.left > 0 && tokens.size < largestChunk) {
      const { key, source } = sequence.next;
      const wanted = sequence.left === 1;
      let node = sequence.node.children.get(key);
      const cached = node !== undefined && !tokens.has(node);
      node ??= addToken(tree, sequence.node, key);
      sequence.advance(node, cached && !wanted);
      // a cached token whose logits are wanted is computed again, into the same slot
      if (!cached || wanted) tokens.set(node, { node, source, wanted: wanted || tokens.get(node)?.wanted === true });
      if (wanted) answering.set(sequence, node);
    }
  }
  return { tokens: [...tokens.values()], answering };
}

function addToken(tree: PrefixTree, parent: TokenNode, key: TokenNode["key"]): TokenNode {
  if (!tree.makeRoom(1)) tree.grow(tree.capacity * 2);
  return tree.add(parent, key);
}
