// Answers that stream onto a terminal played by code end as the whole answer would look, in whatever pieces they come.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fakeTerminal } from "../screen.fixture.ts";
import { createMarkdownView, createPlainView } from "./answer-view.ts";
import { markdownLines } from "./markdown.ts";

const plainLines = (text: string, columns: number): string[] =>
  markdownLines(text, columns).map((line) =>
    line
      .map((piece) => piece.text)
      .join("")
      .trimEnd(),
  );

function shown(pieces: readonly string[], columns = 60, rows = 24): string[] {
  const terminal = fakeTerminal(columns, rows);
  let clock = 0;
  const view = createMarkdownView(terminal, { colour: true, now: () => (clock += 20) });
  for (const piece of pieces) view.push(piece);
  view.end();
  const lines = terminal.lines();
  expect(lines.pop()).toBe("");
  return lines;
}

const answer = `# Two dogs

A *brown* dog and a **black** one. They \`sleep\`
under a [tree](https://example.org/tree).

- one
- two
  - two and a half
  goes on

3. third
4. fourth

\`\`\`ts
const dogs  = 2;
\`\`\`

> They said *woof*.

| name | age |
|:-----|----:|
| Rex  |   3 |
| Bo   |  12 |

---
Done &amp; dusted.`;

describe("Markdown on a terminal", () => {
  it("looks like this", () => {
    expect(shown([answer])).toEqual([
      "Two dogs",
      "",
      "A brown dog and a black one. They sleep",
      "under a tree (https://example.org/tree).",
      "",
      "• one",
      "• two",
      "  • two and a half",
      "    goes on",
      "",
      "3. third",
      "4. fourth",
      "",
      "  const dogs  = 2;",
      "",
      "│ They said woof.",
      "",
      "name  age",
      "────  ───",
      "Rex     3",
      "Bo     12",
      "",
      "────────────────────────────────────────",
      "",
      "Done & dusted.",
    ]);
  });

  it("is the same in whatever pieces it comes, also on a screen that is smaller than the answer", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 200 }),
        fc.integer({ min: 4, max: 30 }),
        (cuts, rows) => {
          const pieces: string[] = [];
          let at = 0;
          for (const size of cuts) pieces.push(answer.slice(at, (at += size)));
          pieces.push(answer.slice(at));
          expect(shown(pieces, 60, rows)).toEqual(shown([answer]));
        },
      ),
      { numRuns: 30 },
    );
  });

  it("keeps to the width and says everything, whatever the model says", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "**",
        "`",
        "```\n",
        "\n\n",
        "- ",
        "> ",
        "1. ",
        "|a|b|\n|-|-|\n|",
        "<b>",
        "[x](y)",
        "# ",
        "&lt;",
        "\\",
      ),
      fc.string({ unit: fc.constantFrom("a", "b", " ", "é", "\n") }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 20, max: 70 }), (pieces, columns) => {
        const text = pieces.join("");
        for (const line of plainLines(text, columns)) expect(line.length).toBeLessThanOrEqual(columns + 12 * 2);
        const letters = (lines: readonly string[]): string => lines.join("").replaceAll(/[^abé]/g, "");
        expect(letters(shown(pieces, columns + 1))).toBe(letters(plainLines(text, columns)));
      }),
      { numRuns: 100 },
    );
  });

  it("writes no colours where none are wanted, and never what a terminal would obey", () => {
    const written: string[] = [];
    const terminal = { columns: 60, rows: 24, write: (text: string) => written.push(text) };
    const view = createMarkdownView(terminal, { colour: false });
    view.push("**a**\u001B[31mb\u009B2Jc\u001B]0;title\u0007 [x](http://a.b/\u001B[0m)");
    view.end();
    // what is left are our own sequences: begin, clear, end, up
    // oxlint-disable-next-line no-control-regex
    const rest = written.join("").replaceAll(/\u001B\[(?:\?2026[hl]|K|J|\d+A)|\r/g, "");
    // oxlint-disable-next-line no-control-regex
    expect(rest).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
    expect(rest).toContain("a\uFFFD[31mb\uFFFD2Jc");
  });

  it("does not stall on answers that nest without end, or never end a block", () => {
    // time of this process alone: others may keep the machine busy
    const started = process.cpuUsage().user;
    for (const hostile of ["> ", "- ", "*", "[", "`", "a_", "a*_", "![", "<a ", "|"]) {
      const whole = hostile.repeat(5000);
      const terminal = { columns: 80, rows: 24, write: () => true };
      const view = createMarkdownView(terminal, { colour: true });
      for (let at = 0; at < whole.length; at += 50) view.push(whole.slice(at, at + 50));
      view.end();
    }
    expect((process.cpuUsage().user - started) / 1e6).toBeLessThan(8);
  });
});

it("writes plain text as it is, harmless, and ends its line", () => {
  const written: string[] = [];
  const view = createPlainView({ write: (text) => written.push(text) });
  view.push("**a**\n");
  view.push("b\u001B[2J");
  view.end();
  expect(written.join("")).toBe("**a**\nb\uFFFD[2J\n");
});
