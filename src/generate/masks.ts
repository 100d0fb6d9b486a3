// Who sees whom: the additive masks of a chunk of new tokens over the cache and over themselves.
import type { TokenNode } from "./prefix-tree.ts";

/** Added to the scores of what must not be seen; finite, so that a row that sees nothing stays finite. */
const hidden = -1e30;

export interface ChunkMasks {
  /** [T, C]: new tokens over cache slots */
  readonly past: Float32Array<ArrayBuffer>;
  /** [T, T]: new tokens over each other */
  readonly own: Float32Array<ArrayBuffer>;
}

/**
 * Masks of a chunk: a token sees those on its path to the root, itself included, whether they lie in the cache or in
 * the chunk (where they must come before it). Rows beyond the chunk's tokens see nothing.
 * @param slidingWindow a token sees at most so many positions back, itself included (mistral)
 */
export function fillMasks(
  { past, own }: ChunkMasks,
  nodes: readonly TokenNode[],
  capacity: number,
  slidingWindow = Infinity,
): void {
  const size = Math.sqrt(own.length);
  past.fill(hidden);
  own.fill(hidden);
  const rows = new Map(nodes.map((node, row) => [node, row]));
  for (const [row, node] of nodes.entries()) {
    if (row > 0 && node.parent === nodes[row - 1] && slidingWindow === Infinity) {
      // it sees what its parent sees, and itself
      past.copyWithin(row * capacity, (row - 1) * capacity, row * capacity);
      own.copyWithin(row * size, (row - 1) * size, row * size);
    } else {
      for (let seen = node.parent; seen !== undefined && seen.slot >= 0; seen = seen.parent) {
        if (node.position - seen.position >= slidingWindow) break;
        const inChunk = rows.get(seen);
        if (inChunk === undefined) past[row * capacity + seen.slot] = 0;
        else own[row * size + inChunk] = 0;
      }
    }
    own[row * size + row] = 0;
  }
}

/** The mask [T, T] of one sequence over itself: a token sees itself and those before it, within the window. */
export function causalMask(length: number, slidingWindow = Infinity): Float32Array<ArrayBuffer> {
  const mask = new Float32Array(length * length).fill(hidden);
  for (let row = 0; row < length; row++) {
    mask.fill(0, row * length + Math.max(0, row - slidingWindow + 1), row * length + row + 1);
  }
  return mask;
}
