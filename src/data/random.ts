// Seeded random numbers: the same keys give the same stream on every machine and Node version.
import { BugError } from "../errors.ts";

/** A stream of pseudo-random numbers; every draw advances it. Not for secrets. */
export interface Random {
  /** an unsigned 32-bit integer */
  next(): number;
  /** uniform in [0, 1), 53 bits */
  float(): number;
  /** uniform in 0 … n - 1, without modulo bias; n from 1 to 2^32 */
  int(n: number): number;
  /** true with the given probability */
  chance(probability: number): boolean;
  /** one element of a non-empty list */
  pick<T>(list: readonly T[]): T;
  /** `count` different elements (all of them when there are fewer), in random order */
  sample<T>(list: readonly T[], count: number): T[];
  /** a shuffled copy */
  shuffle<T>(list: readonly T[]): T[];
}

/** The four 32-bit words of a xoshiro128** generator; not all zero. */
type RandomState = readonly [number, number, number, number];

/**
 * A stream that is a pure function of its keys, e.g. `random(seed, "order", epoch)`. Different keys give
 * unrelated streams, so that each use can have its own and none depends on how many numbers another drew.
 */
export function random(...keys: readonly (number | string)[]): Random {
  return randomFrom(hash(keys));
}

/** A stream from a given state: xoshiro128** 1.1 (Blackman and Vigna, https://prng.di.unimi.it/xoshiro128starstar.c). */
export function randomFrom(state: RandomState): Random {
  let [a, b, c, d] = state;
  if ((a | b | c | d) === 0)
    throw new BugError("RANDOM_STATE", { expected: "a state that is not all zero", got: "zeros" });
  const next = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
  return draws(next);
}

function draws(next: () => number): Random {
  const float = (): number => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  const int = (n: number): number => {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new BugError("RANDOM_RANGE", { expected: "an integer from 1 to 2^32", got: String(n) });
    }
    // draws above the largest multiple of n would favour small results: draw again
    const limit = 2 ** 32 - (2 ** 32 % n);
    let value = next();
    while (value >= limit) value = next();
    return value % n;
  };
  const sample = <T>(list: readonly T[], count: number): T[] => {
    const items = [...list];
    const taken = Math.min(count, items.length);
    for (let i = 0; i < taken; i++) {
      const j = i + int(items.length - i);
      const held = items[i] as T;
      items[i] = items[j] as T;
      items[j] = held;
    }
    return items.slice(0, taken);
  };
  return {
    next,
    float,
    int,
    sample,
    chance: (probability) => float() < probability,
    pick: (list) => list[int(list.length)] as (typeof list)[number],
    shuffle: (list) => sample(list, list.length),
  };
}

/** 128 bits from the keys: four lanes of multiply-rotate rounds over their JSON text, each with a final avalanche. */
function hash(keys: readonly (number | string)[]): RandomState {
  const text = JSON.stringify(keys);
  const lane = (start: number): number => {
    let h = start;
    for (let i = 0; i < text.length; i++) h = Math.imul(rotate(h ^ text.charCodeAt(i), 13), 0x9e3779b1);
    return avalanche(h ^ text.length);
  };
  const state: RandomState = [lane(0x243f6a88), lane(0x85a308d3), lane(0x13198a2e), lane(0x03707344)];
  return (state[0] | state[1] | state[2] | state[3]) === 0 ? [1, 2, 3, 4] : state;
}

/** The finaliser of MurmurHash3 (Appleby): every input bit changes half of the output bits. */
function avalanche(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
