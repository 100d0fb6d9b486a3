// Loops that address memory by row: embedding lookup, its gradient, label entries, strided copies.
import { BugError } from "../errors.ts";
import type { AddAtCall, ArrayOf, CopyBlocksCall, GatherRowsCall, ScatterAddRowsCall } from "./kernel-calls.ts";

/** Reads table rows into [N, D]. */
export function gatherRows(call: GatherRowsCall, arrayOf: ArrayOf): void {
  const { factor = 1, accumulate = false } = call;
  const [table, ids, rows] = [arrayOf(call.table), arrayOf(call.ids), arrayOf(call.into)];
  const { D, columns, idStride, columnStride } = layout(call, ids);
  const f = Math.fround(factor);
  for (let start = 0; start < D; start += columns) {
    const end = Math.min(start + columns, D);
    for (let n = 0; n < ids.length; n++) {
      const at = ids[n]! * idStride;
      if (at < 0) continue;
      const row = n * D;
      if (accumulate) {
        for (let d = start; d < end; d++) rows[row + d]! += Math.fround(f * table[at + d * columnStride]!);
      } else {
        for (let d = start; d < end; d++) rows[row + d] = f * table[at + d * columnStride]!;
      }
    }
  }
}

/** Adds [N, D] to table rows. */
export function scatterAddRows(call: ScatterAddRowsCall, arrayOf: ArrayOf): void {
  const { factor = 1 } = call;
  const [table, ids, rows] = [arrayOf(call.table), arrayOf(call.ids), arrayOf(call.from)];
  const { D, columns, idStride, columnStride } = layout(call, ids);
  const f = Math.fround(factor);
  for (let start = 0; start < D; start += columns) {
    const end = Math.min(start + columns, D);
    for (let n = 0; n < ids.length; n++) {
      const at = ids[n]! * idStride;
      if (at < 0) continue;
      for (let d = start; d < end; d++) table[at + d * columnStride]! += Math.fround(f * rows[n * D + d]!);
    }
  }
}

/** Adds a number to one entry of each row. */
export function addAt({ into, ids: idsBuffer, value }: AddAtCall, arrayOf: ArrayOf): void {
  const [matrix, ids] = [arrayOf(into), arrayOf(idsBuffer)];
  const V = into.shape[1]!;
  checkIds(ids, V, "addAt");
  for (let n = 0; n < ids.length; n++) {
    if (ids[n]! >= 0) matrix[n * V + ids[n]!]! += value;
  }
}

export function copyBlocks(call: CopyBlocksCall, arrayOf: ArrayOf): void {
  const { blocks, length, fromStride, intoStride, fromOffset = 0, intoOffset = 0 } = call;
  const source = arrayOf(call.from);
  const target = arrayOf(call.into);
  for (let b = 0; b < blocks; b++) {
    const start = fromOffset + b * fromStride;
    // both sides have one dtype (checked): `never` stands for that shared element type
    target.set(source.subarray(start, start + length) as never, intoOffset + b * intoStride);
  }
}

interface Layout {
  /** row length */
  readonly D: number;
  /** columns handled for all ids before the next ones: a transposed table is walked a cache line of output at a time */
  readonly columns: number;
  readonly idStride: number;
  readonly columnStride: number;
}

function layout(call: GatherRowsCall | ScatterAddRowsCall, ids: Int32Array): Layout {
  const { kernel, table, transposed = false } = call;
  const [V, D] = transposed ? [table.shape[1]!, table.shape[0]!] : [table.shape[0]!, table.shape[1]!];
  checkIds(ids, V, kernel);
  return transposed
    ? { D, columns: 16, idStride: 1, columnStride: V }
    : { D, columns: D, idStride: D, columnStride: 1 };
}

function checkIds(ids: Int32Array, rows: number, kernel: string): void {
  const n = ids.findIndex((id) => id >= rows);
  if (n >= 0)
    throw new BugError("KERNEL_ROW", {
      expected: `ids below ${rows}`,
      got: String(ids[n]),
      where: `${kernel}, ids[${n}]`,
    });
}
