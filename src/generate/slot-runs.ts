// Which new tokens lie side by side in the cache.
import type { NewToken } from "./chunk.ts";

export interface SlotRun {
  /** the first one's place among the new tokens */
  readonly row: number;
  readonly slot: number;
  readonly count: number;
}

/** Neighbouring tokens whose slots are neighbours too: each is one copy. */
export function slotRuns(tokens: readonly NewToken[]): SlotRun[] {
  const runs: { row: number; slot: number; count: number }[] = [];
  for (const [row, { node }] of tokens.entries()) {
    const last = runs.at(-1);
    if (last && node.slot === last.slot + last.count) last.count++;
    else runs.push({ row, slot: node.slot, count: 1 });
  }
  return runs;
}
