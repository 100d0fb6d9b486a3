// Packs encoded samples into rows of fixed length, keeping their documents apart.
// Legend: T = tokens of a row, t = a place in it.
import { BugError, InputError } from "../errors.ts";
import { IGNORE_LABEL } from "../text/expand.ts";
import type { EncodedSample } from "./encode.ts";

/** The place of one picture's features in a row. */
export interface RowImage {
  /** first of its places */
  readonly start: number;
  readonly length: number;
  /** which document of the row, an index into the samples that the row was built from */
  readonly document: number;
  /** the picture, relative to the images folder */
  readonly image: string;
}

/** One packed sequence of T tokens; what lies behind the last document is padding. */
export interface Row {
  readonly ids: Int32Array; // [T]
  /** the id itself where it is learned, -100 elsewhere; not shifted (as in Hugging Face) */
  readonly labels: Int32Array; // [T]
  /** places within the document, restarting at 0 with each, and in each branch behind what the branches share */
  readonly positions: Int32Array; // [T]
  /** index of the document, -1 for padding: a token attends to earlier tokens of its own document only */
  readonly documents: Int32Array; // [T]
  /** 0 where a document has no branches or shares, else the branch: tokens of a branch are seen by no other branch */
  readonly branches: Int32Array; // [T]
  readonly images: readonly RowImage[];
}

/**
 * Assigns documents to rows by first-fit decreasing: at most 11/9 of the best possible number of rows, plus one
 * (Johnson 1973). Deterministic; ties keep their order; each row lists its documents in ascending order.
 *
 * @param lengths tokens of each document
 * @param rowLength tokens of a row
 * @returns for each row the indices of its documents
 * @throws InputError `ROW_TOO_SHORT` when a document does not fit a row
 */
export function packRows(lengths: ArrayLike<number>, rowLength: number): number[][] {
  const order = Array.from({ length: lengths.length }, (_, i) => i);
  for (const i of order) checkLength(lengths[i] as number, rowLength, i);
  order.sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const rows: number[][] = [];
  const free = new FreeSpace(lengths.length, rowLength);
  for (const i of order) {
    const row = free.take(lengths[i] as number);
    (rows[row] ??= []).push(i);
  }
  for (const row of rows) row.sort((a, b) => a - b);
  return rows;
}

function checkLength(length: number, rowLength: number, index: number): void {
  if (!Number.isInteger(length) || length < 1) {
    throw new BugError("PACK_LENGTH", {
      expected: "a document of at least one token",
      got: `${length} (document ${index})`,
    });
  }
  if (length > rowLength) {
    throw new InputError("ROW_TOO_SHORT", {
      expected: `documents of at most ${rowLength} tokens, the length of a row`,
      got: `${length} tokens`,
      where: `document ${index}`,
      fix: "use longer rows or shorter samples",
    });
  }
}

/** Finds the first row with enough room in O(log rows): a binary tree over rows that holds the most room below each node. */
class FreeSpace {
  readonly #room: Int32Array;
  readonly #leaves: number;

  constructor(rows: number, rowLength: number) {
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(1, rows)));
    this.#room = new Int32Array(2 * this.#leaves).fill(rowLength);
  }

  /** Takes `length` tokens from the first row that has them; returns that row. */
  take(length: number): number {
    const room = this.#room;
    let node = 1;
    while (node < this.#leaves) node = (room[2 * node] as number) >= length ? 2 * node : 2 * node + 1;
    const row = node - this.#leaves;
    room[node] = (room[node] as number) - length;
    for (node >>= 1; node >= 1; node >>= 1) {
      room[node] = Math.max(room[2 * node] as number, room[2 * node + 1] as number);
    }
    return row;
  }
}

/**
 * Lays samples one behind the other into a row.
 *
 * @param padId what padding holds in `ids`; nothing attends to it and nothing learns from it
 * @throws InputError `ROW_TOO_SHORT` when they do not fit
 */
export function buildRow(samples: readonly EncodedSample[], rowLength: number, padId = 0): Row {
  const ids = new Int32Array(rowLength).fill(padId);
  const labels = new Int32Array(rowLength).fill(IGNORE_LABEL);
  const positions = new Int32Array(rowLength);
  const documents = new Int32Array(rowLength).fill(-1);
  const branches = new Int32Array(rowLength);
  const images: RowImage[] = [];
  let start = 0;
  samples.forEach((sample, document) => {
    const end = start + sample.ids.length;
    checkLength(end, rowLength, document);
    ids.set(sample.ids, start);
    labels.set(sample.labels, start);
    documents.fill(document, start, end);
    placeTokens(sample, positions.subarray(start, end), branches.subarray(start, end));
    for (const run of sample.imageRuns) {
      images.push({
        start: start + run.start,
        length: run.length,
        document,
        image: sample.images[run.image] as string,
      });
    }
    start = end;
  });
  return { ids, labels, positions, documents, branches, images };
}

/** Writes positions and branches of one document: every branch goes on from the end of what is shared. */
function placeTokens({ branches: starts = [] }: EncodedSample, positions: Int32Array, branches: Int32Array): void {
  const shared = starts[0] ?? positions.length;
  for (let t = 0, branch = 0; t < positions.length; t++) {
    if (t === starts[branch]) branch++;
    branches[t] = branch;
    positions[t] = branch === 0 ? t : shared + t - starts[branch - 1]!;
  }
}

/**
 * What a row teaches: the logits at `positions[k]` should predict the token `ids[k]`, which stands one place later or,
 * at the start of a branch, behind other branches. Where branches start, one position has several targets.
 */
export interface Targets {
  readonly positions: Int32Array;
  readonly ids: Int32Array;
}

/**
 * The targets of a row, in order; never across documents, so a document's first token is never one, nor across
 * branches: the last shared token predicts the first of each.
 */
export function targetsOf({ labels, documents, branches }: Row): Targets {
  const [positions, ids]: [number[], number[]] = [[], []];
  let shared = 0;
  for (let t = 1; t < labels.length; t++) {
    if (branches[t - 1] === 0) shared = t - 1;
    if (labels[t] === IGNORE_LABEL || documents[t] === -1 || documents[t] !== documents[t - 1]) continue;
    positions.push(branches[t] === branches[t - 1] ? t - 1 : shared);
    ids.push(labels[t]!);
  }
  return { positions: Int32Array.from(positions), ids: Int32Array.from(ids) };
}
