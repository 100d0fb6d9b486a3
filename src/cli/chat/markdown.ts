// Markdown as styled lines for a terminal. Nothing in it is fetched or followed: addresses are written out.
import { lexer, type Token, type Tokens } from "marked";
import type { Line, Piece, Style } from "../screen.ts";
import { cutAt, textWidth, wrapPieces } from "../width.ts";
import { tableLines } from "./markdown-table.ts";

/** narrower columns would be one word each, at the end of whatever nesting */
const narrowest = 16;
const deepest = 12;

/** Splits text at the last place behind which nothing that is still to come can change what stands before. */
export function splitSettled(text: string): readonly [settled: string, open: string] {
  const blocks = blocksOf(text);
  const last = blocks.findLastIndex(({ type }) => type !== "space");
  const settled = blocks
    .slice(0, Math.max(0, last))
    .map(({ raw }) => raw)
    .join("");
  return [settled, text.slice(settled.length)];
}

/** Markdown as lines of at most `columns` columns, a blank one between blocks. The text must be harmless. */
export function markdownLines(text: string, columns: number): Line[] {
  return separated(blocksOf(text).map((block) => blockLines(block, Math.max(narrowest, columns), 0)));
}

/** What the parser does not take (it recurses, and answers may nest without end) is plain text. */
function blocksOf(text: string): Token[] {
  try {
    return lexer(text);
  } catch {
    return [{ type: "text", raw: text, text }];
  }
}

function blockLines(block: Token, columns: number, depth: number): Line[] {
  const token = block as Tokens.Generic;
  if (depth > deepest) return wrapPieces([{ text: token.raw }], columns);
  const inside = (tokens: Token[] | undefined, width: number, loose = true): Line[] => {
    const blocks = (tokens ?? []).map((each) => blockLines(each, Math.max(narrowest, width), depth + 1));
    return loose ? separated(blocks) : blocks.flat();
  };
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "heading":
      return wrapPieces(inline(token.tokens, token["depth"] === 1 ? "title" : "bold"), columns);
    case "code":
      return codeLines(String(token["text"]), columns);
    case "blockquote":
      return inside(token.tokens, columns - 2).map((line) => [{ text: "│ ", style: "dim" }, ...line]);
    case "hr":
      return [[{ text: "─".repeat(Math.min(columns, 40)), style: "dim" }]];
    case "list":
      return listLines(token as Tokens.List, columns, inside);
    case "table":
      return tableLines(token as Tokens.Table, columns, inline);
  }
  const pieces = token.tokens ? inline(token.tokens) : [{ text: decoded(String(token["text"] ?? token.raw)) }];
  return wrapPieces(pieces, columns);
}

function listLines(
  list: Tokens.List,
  columns: number,
  inside: (tokens: Token[], width: number, loose: boolean) => Line[],
): Line[] {
  const first = list.ordered ? Number(list.start) || 0 : undefined;
  const markers = list.items.map(({ task, checked }, i) => {
    const marker = first === undefined ? "•" : `${first + i}.`;
    return `${marker} ${task ? (checked ? "☑ " : "☐ ") : ""}`;
  });
  const indent = Math.max(0, ...markers.map(textWidth));
  const items = list.items.map((item, i): Line[] => {
    const tokens = item.tokens.filter(({ type }) => type !== "checkbox");
    const lines = inside(tokens, columns - indent, list.loose);
    return (lines.length === 0 ? [[]] : lines).map((line, k) => {
      const lead = k === 0 ? markers[i]!.padStart(indent) : " ".repeat(indent);
      return [{ text: lead, ...(k === 0 && { style: "line" as const }) }, ...line];
    });
  });
  return list.loose ? separated(items) : items.flat();
}

/** Code keeps its white space; lines that are too long go on below. */
function codeLines(text: string, columns: number): Line[] {
  return text.split("\n").flatMap((line) => {
    const lines: Line[] = [];
    let rest = line.replaceAll("\t", "    ");
    do {
      const [head, tail] = cutAt(rest, columns - 2);
      lines.push([{ text: "  " }, { text: head === "" ? rest : head, style: "line" }]);
      rest = head === "" ? "" : tail;
    } while (rest !== "");
    return lines;
  });
}

/** Words inside a block as pieces. */
function inline(tokens: readonly Token[] | undefined, style?: Style, depth = 0): Piece[] {
  return (tokens ?? []).flatMap((each): Piece[] => {
    const token = each as Tokens.Generic;
    const piece = (text: string, own = style): Piece => (own === undefined ? { text } : { text, style: own });
    if (depth > deepest) return [piece(token.raw)];
    const inner = (own = style): Piece[] => inline(token.tokens, own, depth + 1);
    switch (token.type) {
      case "br":
        return [piece("\n")];
      case "strong":
        return inner(style === "italic" || style === "boldItalic" ? "boldItalic" : "bold");
      case "em":
        return inner(style === "bold" || style === "boldItalic" ? "boldItalic" : "italic");
      case "del":
        return inner("struck");
      case "codespan":
        return [piece(String(token["text"]), "line")];
      case "link":
      case "image":
        return addressed(token, inner(), piece);
    }
    return token.tokens ? inner() : [piece(decoded(String(token["text"] ?? token.raw)))];
  });
}

/** A link's or picture's words with its address behind them, so that nobody goes elsewhere than they read. */
function addressed(token: Tokens.Generic, words: Piece[], piece: (text: string, style?: Style) => Piece): Piece[] {
  const { href, text } = token as unknown as { readonly href: string; readonly text: string };
  const shown = words.length > 0 ? words : [piece(text)];
  const same = text === href || `mailto:${text}` === href || href === "";
  return same ? shown : [...shown, piece(` (${href})`, "dim")];
}

const entities: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  nbsp: "\u00A0",
  "#39": "'",
};

function decoded(text: string): string {
  return text.replaceAll(/&(amp|lt|gt|quot|nbsp|#39);/g, (whole, name: string) => entities[name] ?? whole);
}

/** Blocks with a blank line between them. */
function separated(blocks: readonly (readonly Line[])[]): Line[] {
  return blocks.filter((lines) => lines.length > 0).flatMap((lines, i) => (i === 0 ? lines : [[], ...lines]));
}
