// Masks of any tree of tokens: seen is exactly what lies on the path to the root, within the window.
import fc from "fast-check";
import { expect, it } from "vitest";
import { fillMasks } from "./masks.ts";
import { PrefixTree, type TokenNode } from "./prefix-tree.ts";

/** A tree grown by attaching each token to a random earlier one; then a chunk of some tokens, in order. */
const trees = fc.record({
  parents: fc.array(fc.nat(), { minLength: 1, maxLength: 24 }),
  chunk: fc.integer({ min: 1, max: 8 }),
  again: fc.option(fc.nat()),
  window: fc.option(fc.integer({ min: 1, max: 6 })),
});

it("shows each token its path and nothing else", () => {
  fc.assert(
    fc.property(trees, ({ parents, chunk, again, window }) => {
      const capacity = 32;
      const size = 16;
      const tree = new PrefixTree(capacity);
      const nodes: TokenNode[] = [];
      for (const [i, parent] of parents.entries()) {
        nodes.push(tree.add(i === 0 ? tree.root : [tree.root, ...nodes][parent % (i + 1)]!, i));
      }
      const fresh = nodes.slice(-chunk);
      // a cached token may be computed again
      const rows = [
        ...fresh,
        ...nodes.slice(0, -chunk).filter((_, i, old) => again !== null && i === again % old.length),
      ];
      const masks = { past: new Float32Array(size * capacity), own: new Float32Array(size * size) };
      fillMasks(masks, rows, capacity, window ?? undefined);
      for (let row = 0; row < size; row++) {
        const node = rows[row];
        const path = new Set<TokenNode>();
        for (let seen = node; seen && seen.slot >= 0; seen = seen.parent) {
          if (node!.position - seen.position < (window ?? Infinity)) path.add(seen);
        }
        for (const other of nodes) {
          const inChunk = rows.indexOf(other);
          if (inChunk >= 0) expect(masks.own[row * size + inChunk] === 0).toBe(path.has(other));
          expect(masks.past[row * capacity + other.slot] === 0).toBe(path.has(other) && inChunk < 0);
        }
        const zeros = (list: Float32Array): number => list.filter((x) => x === 0).length;
        const rowOf = (list: Float32Array, width: number): Float32Array => list.slice(row * width, (row + 1) * width);
        expect(zeros(rowOf(masks.past, capacity)) + zeros(rowOf(masks.own, size))).toBe(path.size);
      }
    }),
  );
});
