// A micro-batch on the host: packed rows as the arrays that the engine is given.
// Shapes: B rows, T tokens a row, N = B·T, P pictures, M trained tokens.
import { type Row, targetsOf } from "../data/pack.ts";
import { rotationTables } from "../nn/rope.ts";
import type { LanguageConfig } from "../models/config.ts";

/** One picture's place among the N tokens. */
export interface PicturePlace {
  readonly start: number;
  readonly length: number;
  readonly image: string;
}

export interface MicroBatch {
  readonly rows: number;
  /** tokens of a row */
  readonly length: number;
  /** [N]; -1 where a picture's features stand and in padding */
  readonly ids: Int32Array<ArrayBuffer>;
  readonly documents: Int32Array<ArrayBuffer>;
  readonly branches: Int32Array<ArrayBuffer>;
  readonly positions: Int32Array<ArrayBuffer>;
  /** [N, D/2] */
  readonly cos: Float32Array<ArrayBuffer>;
  readonly sin: Float32Array<ArrayBuffer>;
  readonly pictures: readonly PicturePlace[];
  /** rows of the N whose logits are trained, and the ids they should predict; rows repeat where branches start */
  readonly targetRows: Int32Array<ArrayBuffer>;
  readonly targetIds: Int32Array<ArrayBuffer>;
  /** tokens that are not padding */
  readonly tokens: number;
}

/** Lays rows of equal length one behind the other. */
export function microBatch(rows: readonly Row[], c: LanguageConfig): MicroBatch {
  const length = rows[0]!.ids.length;
  const joined = (pick: (row: Row) => Int32Array): Int32Array<ArrayBuffer> => {
    const all = new Int32Array(rows.length * length);
    rows.forEach((row, i) => all.set(pick(row), i * length));
    return all;
  };
  const documents = joined((row) => row.documents);
  const positions = joined((row) => row.positions);
  const ids = joined((row) => row.ids);
  const pictures = rows.flatMap((row, i) =>
    row.images.map(({ start, length: n, image }) => ({ start: i * length + start, length: n, image })),
  );
  documents.forEach((document, n) => document < 0 && (ids[n] = -1));
  for (const { start, length: n } of pictures) ids.fill(-1, start, start + n);
  const targets = rows.map(targetsOf);
  const targetRows = Int32Array.from(
    targets.flatMap((target, i) => Array.from(target.positions, (t) => i * length + t)),
  );
  const targetIds = Int32Array.from(targets.flatMap((target) => [...target.ids]));
  return {
    rows: rows.length,
    length,
    ids,
    documents,
    branches: joined((row) => row.branches),
    positions,
    ...rotation(positions, c),
    pictures,
    targetRows,
    targetIds,
    tokens: documents.reduce((n, document) => n + (document < 0 ? 0 : 1), 0),
  };
}

function rotation(
  positions: Int32Array,
  c: LanguageConfig,
): { cos: Float32Array<ArrayBuffer>; sin: Float32Array<ArrayBuffer> } {
  const half = c.headSize / 2;
  const longest = positions.reduce((most, t) => Math.max(most, t), 0) + 1;
  const table = rotationTables(
    Array.from({ length: longest }, (_, t) => t),
    c.headSize,
    c.ropeBase,
  );
  const spread = (values: Float32Array): Float32Array<ArrayBuffer> => {
    const all = new Float32Array(positions.length * half);
    positions.forEach((t, n) => all.set(values.subarray(t * half, (t + 1) * half), n * half));
    return all;
  };
  return { cos: spread(table.cos), sin: spread(table.sin) };
}
