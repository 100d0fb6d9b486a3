// How GGUF's `llama` files store the rows of attn_q and attn_k: undone on reading, done on writing.
import { BugError } from "../errors.ts";

/**
 * Rows for half-split RoPE (Hugging Face) from rows for interleaved RoPE (GGUF, architecture `llama`):
 * within each head of D rows, row 2i + j moves to row j·D/2 + i (i < D/2, j < 2); the inverse of `permute` in
 * llama.cpp's convert_hf_to_gguf.py. For attn_q pass the number of heads, for attn_k that of key-value heads.
 * `data` is `[rows, columns]` row-major (a bias has one column; of a quantised row, its bytes) and is left as it is.
 * Architectures such as `qwen2` store their rows unpermuted and do not need this.
 */
export function unpermuteRows<A extends Float32Array | Uint16Array | Uint8Array>(
  data: A,
  rows: number,
  columns: number,
  heads: number,
): A {
  return moveRows(data, rows, columns, heads, (row, half) => (row % 2) * half + Math.floor(row / 2));
}

/** The way back: rows for GGUF's interleaved RoPE from rows for half-split RoPE; arguments as of `unpermuteRows`. */
export function permuteRows<A extends Float32Array | Uint16Array | Uint8Array>(
  data: A,
  rows: number,
  columns: number,
  heads: number,
): A {
  return moveRows(data, rows, columns, heads, (row, half) => 2 * (row % half) + Math.floor(row / half));
}

function moveRows<A extends Float32Array | Uint16Array | Uint8Array>(
  data: A,
  rows: number,
  columns: number,
  heads: number,
  target: (row: number, half: number) => number,
): A {
  const headRows = rows / heads;
  if (data.length !== rows * columns || headRows % 2 !== 0) {
    throw new BugError("ROPE_ROWS", {
      expected: `${rows} × ${columns} values, an even number of rows in each of ${heads} heads`,
      got: `${data.length} values`,
    });
  }
  const out = data.slice() as A;
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headRows; row++) {
      const from = (head * headRows + row) * columns;
      const to = (head * headRows + target(row, headRows / 2)) * columns;
      out.set(data.subarray(from, from + columns), to);
    }
  }
  return out;
}
