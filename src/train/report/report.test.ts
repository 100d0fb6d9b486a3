import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lineChart, runningMean, ticks } from "./chart.ts";
import type { ReportData } from "./data.ts";
import { html } from "./html.ts";
import { renderReport } from "./page.ts";
import { writeReport } from "./write.ts";

const report = (text: string): ReportData => ({
  name: text,
  stages: [
    {
      name: text,
      train: [text],
      sums: {
        pictures: 1,
        samples: 20,
        mirrored: 0,
        tokens: 3000,
        supervised_tokens: 400,
        rows: 5,
        steps: 6,
        row_length: 256,
        held_out: 0,
      },
      seconds: 90,
      points: [
        { step: 1, loss: 3.25, learning_rate: 1 },
        { step: 2, loss: Number.NaN, learning_rate: 1 },
        { step: 3, loss: 2.5, learning_rate: 1 },
      ],
    },
  ],
  masks: [
    {
      id: text,
      stage: text,
      pieces: [
        { text, learned: false },
        { text: `${text}!`, learned: true },
      ],
    },
  ],
  answers: [{ picture: "data:image/jpeg;base64,/9j/", question: text, answer: text, expected: text }],
  scores: [{ task: text, n: 1200, sighted: 0.853, blind: 0.5 }],
  facts: [{ label: text, value: text }],
  recipe: text,
});

describe("the page", () => {
  it("shows every figure that it was given", () => {
    const page = renderReport(report("coco-lab"), "");
    for (const shown of [
      "85.3 %",
      "50.0 %",
      "1,200 questions",
      "3.25 → 2.5",
      ">3,000<",
      ">400<",
      ">1.5<",
      "<mark>coco-lab!</mark>",
    ]) {
      expect(page).toContain(shown);
    }
    expect(page).toContain(`data:image/jpeg;base64,${Buffer.from([255, 216, 255]).toString("base64")}`);
  });

  it("escapes every text: hostile captions stay text", () => {
    const plain = renderReport(report("x"), "");
    const hostile = renderReport(
      report(`"'><script>alert(1)</script><img src=//evil onerror=alert(1)>&amp;</pre>`),
      "",
    );
    const tags = (page: string): string[] =>
      [...page.matchAll(/<[/!a-z][^>]*>/g)].map(([tag]) => tag.replace(/aria-label="[^"]*"/, ""));
    expect(tags(hostile)).toEqual(tags(plain));
    expect(hostile).toContain("&quot;&#39;&gt;&lt;script&gt;");
  });

  it("asks nothing of the network and runs nothing", () => {
    const page = renderReport(report("x"), "");
    expect(page).toContain("default-src &#39;none&#39;");
    expect(page).not.toMatch(/<script|<link|https?:\/\/|@import|url\(/);
  });

  it("keeps the white space of samples and recipes", () => {
    expect(renderReport(report("a\n  b"), "")).toContain("<pre>a\n  b</pre>");
    expect(renderReport(report("a\n  b"), "")).toContain('<div class="sample">a\n  b<mark>a\n  b!</mark></div>');
  });

  it("is written with its style", async () => {
    const folder = mkdtempSync(join(tmpdir(), "report-"));
    await writeReport(join(folder, "report.html"), report("x"));
    const page = readFileSync(join(folder, "report.html"), "utf8");
    expect(page).toContain("prefers-color-scheme: dark");
    expect(page.endsWith("</html>\n")).toBe(true);
    rmSync(folder, { recursive: true });
  });
});

it("html nests itself and escapes the rest, whatever the text", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { source } = html`<a title="${text}">${[html`<b>${text}</b>`, undefined]}</a>`;
      const back = source
        .replaceAll("&lt;", "<")
        .replaceAll("&gt;", ">")
        .replaceAll("&quot;", '"')
        .replaceAll("&#39;", "'")
        .replaceAll("&amp;", "&");
      expect(back).toBe(`<a title="${text}"><b>${text}</b></a>`);
      expect(source.match(/[<>"]/g)?.length).toBe(10);
    }),
  );
});

describe("charts", () => {
  const value = fc.double({ min: -1e6, max: 1e6, noNaN: true });

  it("have round ticks that enclose every value", () => {
    fc.assert(
      fc.property(value, value, fc.integer({ min: 2, max: 8 }), (a, b, count) => {
        const [min, max] = [Math.min(a, b), Math.max(a, b)];
        const marks = ticks(min, max, count);
        const slack = (marks[1]! - marks[0]!) * 1e-6;
        expect(marks[0]!).toBeLessThanOrEqual(min + slack);
        expect(marks.at(-1)!).toBeGreaterThanOrEqual(max - slack);
        expect(marks.length).toBeLessThanOrEqual(count + 3);
      }),
    );
  });

  it("stay within their frame and their weight, whatever the curve", () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { maxLength: 3000 }), (losses) => {
        const { source } = lineChart(
          losses.map((y, x) => ({ x, y: Math.abs(y) > 1e6 ? Number.NaN : y })),
          "loss",
        );
        expect(source).not.toMatch(/NaN|Infinity/);
        expect(source.length).toBeLessThan(30_000);
        for (const [, x, y] of source.matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)) {
          expect(Number(x)).toBeGreaterThanOrEqual(52);
          expect(Number(x)).toBeLessThanOrEqual(628);
          expect(Number(y)).toBeGreaterThanOrEqual(11);
          expect(Number(y)).toBeLessThanOrEqual(209);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("average the last twentieth", () => {
    const points = Array.from({ length: 40 }, (_, x) => ({ x, y: x }));
    expect(runningMean(points).map(({ y }) => y)).toEqual([0, ...Array.from({ length: 39 }, (_, i) => i + 0.5)]);
  });
});
