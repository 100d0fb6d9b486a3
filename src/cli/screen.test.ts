// The redrawn lines and the plot on a terminal that is played by code.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plot } from "./plot.ts";
import { createScreen, type Line } from "./screen.ts";
import { fakeTerminal } from "./screen.fixture.ts";

const line = (text: string): Line => [{ text, style: "dim" }];

describe("the screen", () => {
  it("shows what was drawn last, below what was there, whatever was drawn, logged or resized before", () => {
    const action = fc.oneof(
      fc.record({ draw: fc.array(fc.string({ unit: "grapheme-ascii", maxLength: 60 }), { maxLength: 6 }) }),
      fc.record({ log: fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 9 }) }),
      fc.record({ columns: fc.integer({ min: 12, max: 50 }) }),
    );
    fc.assert(
      fc.property(fc.array(action), fc.array(fc.string({ maxLength: 60 })), (actions, last) => {
        const terminal = fakeTerminal(40, 24);
        const screen = createScreen(terminal);
        const logged: string[] = [];
        let drawn: readonly string[] = [];
        const draw = (): void => screen.draw(drawn.map(line));
        terminal.on("resize", draw);
        for (const each of actions) {
          if ("draw" in each) {
            drawn = each.draw;
            draw();
          } else if ("log" in each) {
            screen.erase();
            terminal.write(`${each.log}\n`);
            logged.push(each.log);
            draw();
          } else terminal.resize(each.columns);
        }
        drawn = last;
        draw();
        const shown = terminal.lines();
        expect(shown.slice(0, logged.length)).toEqual(logged);
        expect(shown).toHaveLength(logged.length + last.length + 1);
        for (const text of shown) expect(text.length).toBeLessThan(terminal.columns);
        screen.erase();
        expect(terminal.lines()).toEqual([...logged, ""]);
      }),
    );
  });

  it("lets no text move the cursor", () => {
    const terminal = fakeTerminal(40, 24);
    createScreen(terminal).draw([line("a\u001B[2J\nb\r\u0007c狗d")]);
    expect(terminal.lines()).toEqual(["a\uFFFD[2J b \uFFFDc狗d", ""]);
  });

  it("writes no colours where none are wanted", () => {
    const terminal = fakeTerminal(40, 24);
    const written: string[] = [];
    const colour = { ...terminal, write: (text: string) => written.push(text) };
    createScreen(colour, false).draw([line("a")]);
    // oxlint-disable-next-line no-control-regex
    expect(written.join("")).not.toMatch(/\u001B\[\d+m/);
  });
});

describe("the plot", () => {
  const text = (...args: Parameters<typeof plot>): string[] =>
    plot(...args).map(({ label, cells }) => `${label} ${cells.map((cell) => cell.text).join("")}`.trimEnd());

  it("draws a falling line from the top left to the bottom right", () => {
    const values = Array.from({ length: 8 }, (_, i) => 8 - i);
    expect(text(values, { width: 11, height: 2 })).toEqual(["  8.00 ⠙⢦⡀", "  1.00   ⠙⢦"]);
  });

  it("puts marks at their steps", () => {
    const values = Array.from({ length: 40 }, () => 1);
    const marks = [{ at: 40, value: 2 }];
    expect(text(values, { width: 17, height: 3, marks })).toEqual(["  2.00          ◆", "", "  1.00 ⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀"]);
  });

  it("fits its frame, whatever the values", () => {
    const loss = fc.double({ min: 0, max: 1e99 }).map((value) => (value < 1e-99 ? 0 : value));
    fc.assert(
      fc.property(
        fc.array(loss, { maxLength: 300 }),
        fc.integer({ min: 8, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        (values, width, height) => {
          const rows = plot(values, { width, height, marks: [{ at: 3, value: values[2] ?? Number.NaN }] });
          expect(rows).toHaveLength(height);
          for (const { label, cells } of rows)
            expect(`${label} ${cells.map((cell) => cell.text).join("")}`).toHaveLength(width);
        },
      ),
    );
  });
});
