// What pictures a terminal can show, found out by asking it.

export type Graphics = "kitty" | "iterm2" | "sixel" | "blocks" | "none";
export const graphicsKinds: readonly Graphics[] = ["kitty", "iterm2", "sixel", "blocks", "none"];

export interface TerminalGraphics {
  readonly kind: Graphics;
  /** pixels of one character */
  readonly cell: { readonly width: number; readonly height: number };
}

type Environment = Readonly<Record<string, string | undefined>>;

const ESC = "\u001B";
/**
 * Does it answer kitty's protocol (sw.kovidgoyal.net/kitty/graphics-protocol, "Querying support"), what is its name
 * (XTVERSION), how large is a character (XTWINOPS 16)?
 */
export const graphicsQuestions = `${ESC}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA${ESC}\\${ESC}[>q${ESC}[16t`;

const usualCell = { width: 8, height: 16 };

/** Terminals that would print the questions instead of answering them. */
export function canBeAsked(env: Environment): boolean {
  const { TERM: term = "", TERM_PROGRAM: program } = env;
  return term !== "" && term !== "dumb" && term !== "linux" && program !== "Apple_Terminal";
}

/** Bits of colour: Node takes every tmux for one of 256 colours, though most pass on more. */
export function colourDepth(known: number, env: Environment): number {
  return known >= 8 && /^(?:truecolor|24bit)$/.test(env["COLORTERM"] ?? "") ? 24 : known;
}

/** What a terminal's reply, "" for none, and its environment say. `depth` is its bits of colour (1, 4, 8 or 24). */
export function graphicsOf(reply: string, env: Environment, depth: number): TerminalGraphics {
  // oxlint-disable-next-line no-control-regex
  const [, height, width] = /\u001B\[6;(\d{1,3});(\d{1,3})t/.exec(reply)?.map(Number) ?? [];
  const cell = width && height ? { width, height } : usualCell;
  return { kind: kindOf(reply, env, depth), cell };
}

function kindOf(reply: string, env: Environment, depth: number): Graphics {
  if (depth < 4) return "none";
  if (reply.includes("_Gi=31;OK")) return "kitty";
  // what a multiplexer is told by the terminal around it does not reach that terminal
  const inside = env["TMUX"] !== undefined || env["STY"] !== undefined;
  const program = inside ? "" : `${env["TERM_PROGRAM"] ?? ""} ${env["LC_TERMINAL"] ?? ""}`;
  // oxlint-disable-next-line no-control-regex
  const name = /\u001BP>\|([^\u001B]*)/.exec(reply)?.[1] ?? "";
  if (/iterm|wezterm|mintty/i.test(`${program} ${name}`)) return "iterm2";
  // device attribute 4 is sixel graphics (DEC's VT340)
  // oxlint-disable-next-line no-control-regex
  const attributes = /\u001B\[\?([\d;]*)c/.exec(reply)?.[1]?.split(";") ?? [];
  if (attributes.slice(1).includes("4")) return "sixel";
  return depth >= 8 ? "blocks" : "none";
}
