// The report's page: every figure is shown, hostile text stays text, nothing is asked of the network; charts and tables.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EvaluationMetrics, StepMetrics } from "../metrics.ts";
import { chart } from "./chart.ts";
import { renderComparison } from "./compare.ts";
import { nearest, runningMean } from "./curve.ts";
import type { ReportData } from "./data.ts";
import { html } from "../../pages/html.ts";
import { renderReport } from "./page.ts";
import { recipeDifferences } from "./recipe-differences.ts";
import { showValue, ticks } from "./scale.ts";

const step = (stage: string, number: number, loss: number): StepMetrics => ({
  stage,
  step: number,
  steps: 6,
  loss,
  learning_rate: 1e-3,
  learning_rates: { [stage]: 1e-3 },
  grad_norm: 2,
  tokens: 1000,
  supervised_tokens: 100,
  seconds: 30,
});

const evaluation = (text: string): EvaluationMetrics => ({
  stage: text,
  step: 2,
  steps: 6,
  held_out_loss: 1.25,
  score: { task: text, n: 40, accuracy: 0.625 },
  answers: [{ picture: text, question: text, answer: text, expected: text }],
  best: true,
  seconds: 6,
});

const report = (text: string): ReportData => ({
  name: text,
  state: "running",
  updated: new Date("2026-01-02T03:04:05Z"),
  stages: [
    {
      name: text,
      train: [text],
      steps: 6,
      sums: {
        pictures: 1,
        samples: 20,
        mirrored: 3,
        tokens: 3000,
        supervised_tokens: 400,
        rows: 5,
        steps: 6,
        row_length: 256,
        held_out: 17,
      },
      points: [step(text, 1, 3.25), step(text, 2, Number.NaN), step(text, 3, 2.5)],
      evaluations: [evaluation(text)],
    },
  ],
  masks: [
    {
      id: text,
      stage: text,
      pieces: [
        { text, learned: false, tokens: 12 },
        { text: `${text}!`, learned: true, tokens: 5 },
      ],
    },
  ],
  answers: [
    {
      picture: "data:image/jpeg;base64,/9j/",
      question: text,
      answer: text,
      expected: text,
      before: [{ at: text, text }],
    },
  ],
  scores: [{ task: text, n: 1200, sighted: 0.853, blind: 0.5 }],
  facts: [{ label: text, value: text }],
  peakBytes: 3.1e9,
  recipe: text,
});

const hostileText = `"'><script>alert(1)</script><img src=//evil onerror=alert(1)>&amp;</pre>`;
const tagsOf = (page: string): string[] =>
  [...page.matchAll(/<[/!a-z][^>]*>/g)].map(([tag]) => tag.replace(/aria-label="[^"]*"/, ""));

describe("the page", () => {
  it("shows every figure that it was given", () => {
    const page = renderReport(report("coco-lab"), "");
    for (const shown of [
      "85.3 %",
      "50.0 %",
      "1,200 questions; sight is worth 35.3 points",
      "3.25 → 2.50",
      ">3,000<",
      ">400<",
      ">17<",
      ">1.25<",
      ">62.5 %<",
      "3.10 GB",
      "about 2 min left",
      "5 of 17 tokens",
      "<mark>coco-lab!</mark>",
      "data:image/jpeg;base64,/9j/",
    ]) {
      expect(page.replaceAll(/\s+/g, " ")).toContain(shown);
    }
  });

  it("escapes every text: hostile captions stay text", () => {
    const hostile = renderReport(report(hostileText), "");
    expect(tagsOf(hostile)).toEqual(tagsOf(renderReport(report("x"), "")));
    expect(hostile).toContain("&quot;&#39;&gt;&lt;script&gt;");
  });

  it("asks nothing of the network and runs nothing", () => {
    const page = renderReport(report("x"), "");
    expect(page).toContain("default-src &#39;none&#39;");
    expect(page).not.toMatch(/<script|<link|https?:\/\/|@import|url\(/);
  });

  it("loads itself again only while the run goes on", () => {
    expect(renderReport(report("x"), "")).toContain('http-equiv="refresh"');
    expect(renderReport({ ...report("x"), state: "finished" }, "")).not.toContain('http-equiv="refresh"');
  });

  it("keeps the white space of samples and recipes", () => {
    const page = renderReport(report("a\n  b"), "");
    expect(page).toContain("<pre>a\n  b</pre>");
    expect(page).toContain('<div class="sample">a\n  b<mark>a\n  b!</mark></div>');
  });

  it("shows samples that share a picture beside each other, behind what they share", () => {
    const pieces = [
      { text: "<image×4>", learned: false, tokens: 4 },
      { text: "One?", learned: false, tokens: 2, branch: 1 },
      { text: "1", learned: true, tokens: 1, branch: 1 },
      { text: "2 & more", learned: true, tokens: 3, branch: 2 },
    ];
    const page = renderReport({ ...report("x"), masks: [{ id: "a, b", stage: "s", pieces }] }, "");
    expect(page).toContain(
      '<div class="sample"><span class="image"><image×4></span>'.replace("<image×4>", "&lt;image×4&gt;") +
        '<div class="branch">One?<mark>1</mark></div><div class="branch"><mark>2 &amp; more</mark></div></div>',
    );
    expect(page).toContain("samples a, b, each going on from the same pictures: 4 of 10 tokens");
  });

  it("is whole before the first step", () => {
    const { stages, ...rest } = report("x");
    const page = renderReport({ ...rest, stages: [{ ...stages[0]!, points: [], evaluations: [] }] }, "");
    expect(page).toContain("Not begun yet: 6 steps.");
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe("runs compared", () => {
  const runs = (text: string) => [
    { label: "first", data: { ...report(text), recipe: "" } },
    { label: text, data: { ...report(text), recipe: "stages:\n  - { name: a, epochs: 2 }\n" } },
  ];

  it("stand side by side, with what their recipes differ in", () => {
    const page = renderComparison(runs("x"), "").replaceAll(/>\s+</g, "><");
    expect(page).toContain('<th>x: best held-out loss</th><td class="number">1.25</td><td class="number">1.25</td>');
    expect(page).toContain('<th class="key-path">stages.a.epochs</th><td class="value">–</td><td class="value">2</td>');
  });

  it("escape every text", () => {
    expect(tagsOf(renderComparison(runs(hostileText), ""))).toEqual(tagsOf(renderComparison(runs("x"), "")));
  });

  it("differ key by key, lists by their items' names", () => {
    const a = "name: a\nstages:\n  - { name: align, train: [projector] }\n  - { name: instruct, epochs: 1 }\n";
    const b = "name: b\nstages:\n  - { name: instruct, epochs: 2 }\n";
    expect(recipeDifferences([a, b])).toEqual([
      { key: "stages.align.name", values: ["align", undefined] },
      { key: "stages.align.train", values: ['["projector"]', undefined] },
      { key: "stages.instruct.epochs", values: ["1", "2"] },
    ]);
    expect(recipeDifferences([a, a])).toEqual([]);
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
      fc.property(fc.array(fc.double(), { maxLength: 3000 }), fc.boolean(), (losses, powers) => {
        const line = losses.map((y, x) => ({ x, y: Math.abs(y) > 1e6 ? Number.NaN : y }));
        const options = { label: "loss", size: "small", powers } as const;
        const { source } = chart([{ name: "loss", line, single: line, tone: 0 }], options);
        expect(source).not.toMatch(/NaN|Infinity/);
        expect(source.length).toBeLessThan(40_000);
        for (const [, x, y] of source.matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)) {
          expect(Number(x)).toBeGreaterThanOrEqual(12);
          expect(Number(x)).toBeLessThanOrEqual(320);
          expect(Number(y)).toBeGreaterThanOrEqual(11);
          expect(Number(y)).toBeLessThanOrEqual(130);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("leave room for the longest label, also of a single step", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), fc.integer({ min: 1, max: 3 }), (loss, count) => {
        const line = Array.from({ length: count }, (_, i) => ({ x: i + 1, y: loss }));
        const { source } = chart([{ name: "loss", line, tone: 0 }], { label: "loss", size: "small" });
        const labels = [...source.matchAll(/<text class="tick" x="([\d.]+)" y="[\d.]+" text-anchor="end">([^<]+)/g)];
        expect(labels.length).toBeGreaterThan(1);
        for (const [, end, text] of labels) {
          expect(text!.length).toBeLessThanOrEqual(8);
          expect(Number(end)).toBeGreaterThan(text!.length * 7);
        }
        expect(new Set(labels.map(([, , text]) => text)).size).toBe(labels.length);
      }),
    );
  });

  it("show every curve's value under the pointer", () => {
    const line = [1, 2, 3].map((x) => ({ x, y: x / 2 }));
    const curves = [
      { name: "a", line, tone: 0 },
      { name: "b", line: [{ x: 2, y: 7 }], dots: true, tone: 1 },
    ];
    expect(chart(curves, { label: "loss", size: "small" }).source).toContain(">step 3: a 1.5, b 7<");
  });

  it("write values in few characters", () => {
    expect([0, 0.0005, 0.25, 12, 1234, 30_000, 2.5e6, 1e-7].map(showValue)).toEqual([
      "0",
      "5e-4",
      "0.25",
      "12",
      "1234",
      "30k",
      "2.5e6",
      "1e-7",
    ]);
  });

  it("average the last twentieth", () => {
    const points = Array.from({ length: 40 }, (_, x) => ({ x, y: x }));
    expect(runningMean(points).map(({ y }) => y)).toEqual([0, ...Array.from({ length: 39 }, (_, i) => i + 0.5)]);
  });

  it("find the nearest point", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: -99, max: 99 }), { minLength: 1 }), fc.integer(), (xs, x) => {
        const points = xs.toSorted((a, b) => a - b).map((at) => ({ x: at, y: 0 }));
        const least = Math.min(...xs.map((at) => Math.abs(at - x)));
        expect(Math.abs(nearest(points, x)!.x - x)).toBe(least);
      }),
    );
  });
});
