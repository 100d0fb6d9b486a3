// A terminal as the live view needs it: lines, a cursor, and the few escape sequences that are written.
/* oxlint-disable no-control-regex */

export interface FakeTerminal {
  readonly isTTY: true;
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
  on(event: "resize", listener: () => void): void;
  off(event: "resize", listener: () => void): void;
  /** Wraps longer lines as terminals do, then tells its listeners. */
  resize(columns: number): void;
  /** Lines without what trails; the last is the cursor's. */
  lines(): string[];
  readonly listeners: ReadonlySet<() => void>;
}

/** Throws for sequences that it does not know: the view must not use others. */
export function fakeTerminal(columns: number, rows: number): FakeTerminal {
  let [lines, row, column] = [[""], 0, 0];
  const listeners = new Set<() => void>();
  const sequences: readonly (readonly [RegExp, (n: number) => void])[] = [
    [/^\r/, () => (column = 0)],
    [/^\n/, () => ([row, column] = [row + 1, 0])],
    [/^\u001B\[(\d+)A/, (n) => (row = Math.max(0, row - n))],
    [/^\u001B\[K/, () => (lines[row] = lines[row]!.slice(0, column))],
    [/^\u001B\[J/, () => (lines = [...lines.slice(0, row), lines[row]!.slice(0, column)])],
    [/^\u001B\[[\d;]*m/, () => {}],
    [/^\u001B\[\?2026[hl]/, () => {}],
    [/^[^\u0000-\u001F]/u, () => {}],
  ];
  const step = (text: string): number => {
    for (const [pattern, act] of sequences) {
      const match = pattern.exec(text);
      if (match === null) continue;
      act(Number(match[1] ?? 0));
      while (lines.length <= row) lines.push("");
      if (!/^[\r\n\u001B]/.test(match[0])) {
        const line = lines[row]!.padEnd(column);
        lines[row] = line.slice(0, column) + match[0] + line.slice(column + 1);
        column++;
      }
      return match[0].length;
    }
    throw new RangeError(`unknown sequence ${JSON.stringify(text.slice(0, 8))}`);
  };
  const terminal = {
    isTTY: true as const,
    columns,
    rows,
    write: (text: string) => {
      for (let at = 0; at < text.length;) at += step(text.slice(at, at + 16));
    },
    on: (_: "resize", listener: () => void) => void listeners.add(listener),
    off: (_: "resize", listener: () => void) => void listeners.delete(listener),
    resize: (to: number) => {
      const wrapped = lines.slice(0, row).flatMap((line) => line.match(new RegExp(`.{1,${to}}`, "gu")) ?? [""]);
      lines = [...wrapped, ""];
      [row, column, terminal.columns] = [wrapped.length, 0, to];
      for (const listener of listeners) listener();
    },
    lines: () => lines.map((line) => line.trimEnd()),
    listeners,
  };
  return terminal;
}
