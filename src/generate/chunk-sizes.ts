// How many tokens go through the layers at once: programs exist for powers of two only.

/** The most tokens of one run: more gains nothing, and answers under way would wait for it. */
export const largestChunk = 128;

/**
 * A run's fixed cost in tokens: reading all weights once takes as long as computing about so many tokens more
 * (SmolLM2-135M on one thread: 67 ms for 1 token, 105 for 16, 218 for 64, 385 for 128).
 */
const fixedCost = 24;

/** Sizes of the runs that take `count` tokens; the last may have room to spare. */
export function chunkSizes(count: number): number[] {
  const sizes: number[] = [];
  let left = count;
  while (left > 0) {
    const size = nextSize(left);
    sizes.push(size);
    left -= size;
  }
  return sizes;
}

/** One run with padding, or a smaller full one first: whichever costs less. */
function nextSize(count: number): number {
  if (count >= largestChunk) return largestChunk;
  const padded = 2 ** Math.ceil(Math.log2(count));
  return padded > count && cost(count, padded / 2) < fixedCost + padded ? padded / 2 : padded;
}

function cost(count: number, first: number): number {
  const rest = count - first;
  const padded = 2 ** Math.ceil(Math.log2(rest));
  const split = padded > rest ? cost(rest, padded / 2) : Infinity;
  return fixedCost + first + Math.min(fixedCost + padded, split);
}
