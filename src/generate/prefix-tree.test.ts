// Slots are never given twice, what a sequence holds stays with all before it, and the least recently used goes first.
import fc from "fast-check";
import { expect, it } from "vitest";
import { PrefixTree, type TokenNode } from "./prefix-tree.ts";

function feed(tree: PrefixTree, keys: readonly number[]): TokenNode {
  let node = tree.root;
  tree.move(undefined, node);
  for (const key of keys) {
    let next = node.children.get(key);
    if (!next) {
      if (!tree.makeRoom(1)) tree.grow(tree.capacity * 2);
      next = tree.add(node, key);
    }
    tree.move(node, next);
    node = next;
  }
  return node;
}

const end = (tree: PrefixTree, node: TokenNode): void => tree.move(node, undefined);

function cachedNodes(node: TokenNode): TokenNode[] {
  return [...node.children.values()].flatMap((child) => [child, ...cachedNodes(child)]);
}

function has(tree: PrefixTree, keys: readonly number[]): number {
  let node: TokenNode | undefined = tree.root;
  let depth = 0;
  for (const key of keys) {
    node = node?.children.get(key);
    if (!node) break;
    depth++;
  }
  return depth;
}

it("keeps what is held and gives every token a slot of its own", () => {
  const sequence = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(fc.array(fc.tuple(sequence, fc.boolean()), { maxLength: 30 }), (sequences) => {
      const tree = new PrefixTree(16);
      const held: { keys: readonly number[]; node: TokenNode }[] = [];
      for (const [keys, keep] of sequences) {
        const node = feed(tree, keys);
        if (keep && held.length < 3) held.push({ keys, node });
        else end(tree, node);
        for (const { keys: kept } of held) expect(has(tree, kept)).toBe(kept.length);
        const slots = cachedNodes(tree.root).map(({ slot }) => slot);
        expect(new Set(slots).size).toBe(slots.length);
        expect(slots.every((slot) => slot >= 0 && slot < tree.capacity)).toBe(true);
      }
      // growth is for what is held: three sequences and one under way have 36 tokens at most
      expect(tree.capacity).toBeLessThanOrEqual(64);
    }),
  );
});

it("drops the least recently used prompt, from its end, and shared beginnings last", () => {
  const tree = new PrefixTree(8);
  end(tree, feed(tree, [1, 2, 3]));
  end(tree, feed(tree, [1, 2, 4]));
  end(tree, feed(tree, [7, 8]));
  end(tree, feed(tree, [1, 2, 3]));
  end(tree, feed(tree, [9, 9]));
  // 4 was the oldest end and went with the first room that was needed; 1, 2 served a later prompt
  end(tree, feed(tree, [5]));
  expect(tree.capacity).toBe(8);
  expect([has(tree, [1, 2, 4]), has(tree, [1, 2, 3]), has(tree, [7, 8]), has(tree, [9, 9])]).toEqual([2, 3, 2, 2]);
  end(tree, feed(tree, [6]));
  expect([has(tree, [1, 2, 3]), has(tree, [7, 8])]).toEqual([3, 0]);
});

it("grows only when what is held needs it, keeping slots", () => {
  const tree = new PrefixTree(4);
  const node = feed(tree, [1, 2, 3, 4]);
  const slots = cachedNodes(tree.root).map(({ slot }) => slot);
  expect(tree.makeRoom(1)).toBe(false);
  tree.grow(8);
  expect(tree.makeRoom(4)).toBe(true);
  expect(tree.add(node, 5).slot).toBe(4);
  expect(cachedNodes(tree.root).map(({ slot }) => slot)).toEqual([...slots, 4]);
  tree.clear();
  expect(tree.root.children.size).toBe(0);
  expect(tree.makeRoom(8)).toBe(true);
});
