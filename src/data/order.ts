// The order in which training reads its data: a pure function of seed, epoch and count.
import { random } from "./random.ts";

/**
 * A permutation of 0 … count - 1 for one epoch. It depends on its arguments alone, so a resumed run finds
 * its place again without replaying anything (Fisher and Yates over xoshiro128**).
 */
export function epochOrder(seed: number, epoch: number, count: number): Int32Array {
  const stream = random("order", seed, epoch, count);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = stream.int(i + 1);
    const held = order[i] as number;
    order[i] = order[j] as number;
    order[j] = held;
  }
  return order;
}
