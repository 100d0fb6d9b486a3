// A Markdown table in columns; where the terminal is too narrow, its cells are cut.
import type { Token, Tokens } from "marked";
import type { Line, Piece, Style } from "../screen.ts";
import { cutAt, textWidth } from "../width.ts";

const gap = "  ";

/** Head, rule and rows. `inline` makes pieces of a cell's words. */
export function tableLines(
  { header, rows, align }: Tokens.Table,
  columns: number,
  inline: (tokens: readonly Token[], style?: Style) => Piece[],
): Line[] {
  const head = header.map(({ tokens }) => flat(inline(tokens, "bold")));
  const body = rows.map((row) => row.map(({ tokens }) => flat(inline(tokens))));
  const wanted = head.map((cell, i) => Math.max(1, ...[cell, ...body.map((row) => row[i] ?? [])].map(widthOf)));
  const widths = fitted(wanted, columns - gap.length * (wanted.length - 1));
  const line = (cells: readonly (readonly Piece[])[]): Line =>
    widths.flatMap((width, i) => [
      ...(i === 0 ? [] : [{ text: gap }]),
      ...padded(cells[i] ?? [], width, align[i] ?? "left", i === widths.length - 1),
    ]);
  const rule: Line = [{ text: widths.map((width) => "─".repeat(width)).join(gap), style: "dim" }];
  return [line(head), rule, ...body.map(line)];
}

function flat(pieces: readonly Piece[]): Piece[] {
  return pieces.map((piece) => ({ ...piece, text: piece.text.replaceAll(/\s+/g, " ") }));
}

function widthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { text }) => sum + textWidth(text), 0);
}

/** Widths that add up to `room` at most (one column each at least): the widest give way first. */
function fitted(wanted: readonly number[], room: number): number[] {
  const sum = (most: number): number => wanted.reduce((all, width) => all + Math.min(width, most), 0);
  let most = Math.max(1, ...wanted);
  while (most > 1 && sum(most) > room) most--;
  return wanted.map((width) => Math.min(width, most));
}

function padded(cell: readonly Piece[], width: number, align: "left" | "right" | "center", last: boolean): Piece[] {
  const shown: Piece[] = [];
  let room = width;
  for (const piece of cell) {
    const [text, rest] = cutAt(piece.text, room);
    // the mark of what was cut takes the place of the last character
    const cut = rest === "" ? text : `${cutAt(text, Math.max(0, textWidth(text) - 1))[0]}…`;
    shown.push({ ...piece, text: cut });
    room -= textWidth(cut);
    if (rest !== "" || room <= 0) break;
  }
  room = Math.max(0, room);
  const before = align === "right" ? room : align === "center" ? Math.floor(room / 2) : 0;
  const after = last ? 0 : room - before;
  return [...space(before), ...shown, ...space(after)];
}

function space(count: number): Piece[] {
  return count === 0 ? [] : [{ text: " ".repeat(count) }];
}
