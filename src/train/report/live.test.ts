// A report that follows a run: when it is written, that nothing is lost between writes, that failures end nothing.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { TrainEvent } from "../events.ts";
import type { StepMetrics } from "../metrics.ts";
import type { StageSums } from "../stage-data.ts";
import { createLiveReport, type LiveReport } from "./live.ts";
import { readRun } from "./read-run.ts";
import { readRecord } from "./record.ts";

const root = mkdtempSync(join(tmpdir(), "live-report-"));
afterAll(() => rmSync(root, { recursive: true }));

const recipe = "name: lab\nstages:\n  - { name: align, train: [projector] }\n";

interface Followed {
  readonly folder: string;
  readonly report: LiveReport;
  readonly clock: { ms: number };
  readonly warned: unknown[];
  step(number: number): void;
}

async function follow(name: string): Promise<Followed> {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  writeFileSync(join(folder, "recipe.yaml"), recipe);
  const clock = { ms: Date.parse("2026-01-02T03:04:05Z") };
  const warned: unknown[] = [];
  const report = createLiveReport({
    folder,
    machine: [{ label: "processor", value: "a very fast one" }],
    warn: (error) => warned.push(error),
    now: () => clock.ms,
  });
  const step = (number: number): void => {
    const metrics: StepMetrics = {
      stage: "align",
      step: number,
      steps: 100,
      loss: 1 / number,
      learning_rate: 1,
      learning_rates: { projector: 1 },
      grad_norm: 1,
      tokens: 10,
      supervised_tokens: 5,
      seconds: 1,
    };
    writeFileSync(join(folder, "metrics.jsonl"), `${JSON.stringify(metrics)}\n`, { flag: "a" });
    report.show({ type: "step", metrics });
  };
  return { folder, report, clock, warned, step };
}

const begin: readonly TrainEvent[] = [
  {
    type: "checked",
    stage: "align",
    sums: { steps: 100, samples: 7 } as StageSums,
    masks: [{ id: "1", stage: "align", pieces: [{ text: "seen", learned: true, tokens: 1 }] }],
  },
  { type: "stage", stage: "align", from: 1, steps: 100 },
];

const shownSteps = (folder: string): string | undefined =>
  /<th>steps<\/th>\s*<td class="number">([^<]+)</.exec(readFileSync(join(folder, "report.html"), "utf8"))?.[1];

describe("a live report", () => {
  it("is there from the first stage on, and knows at its end what came while it was written", async () => {
    const { folder, report, step } = await follow("whole");
    begin.forEach(report.show);
    for (let number = 1; number <= 100; number++) step(number);
    report.show({ type: "checkpoint", path: "x" });
    await report.finish("finished", [{ picture: "gone.jpg", question: "q", answer: "a", expected: "e" }]);
    const data = await readRun(folder, async () => undefined);
    expect(data).toMatchObject({ name: "lab", state: "finished", facts: [{ value: "a very fast one" }] });
    expect(data.stages[0]!.points).toHaveLength(100);
    expect(data.masks[0]!.pieces[0]!.text).toBe("seen");
    expect(data.answers).toEqual([{ question: "q", answer: "a", expected: "e", before: [] }]);
    expect(shownSteps(folder)).toBe("100");
  });

  it("follows steps once a minute", async () => {
    const { folder, report, clock, step } = await follow("minutes");
    begin.forEach(report.show);
    const shows = (steps: string) => vi.waitFor(() => expect(shownSteps(folder)).toBe(steps), { timeout: 20_000 });
    await shows("0 of 100");
    step(1);
    clock.ms += 59_000;
    step(2);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await shows("0 of 100");
    clock.ms += 1_000;
    step(3);
    await shows("3 of 100");
    await report.finish("interrupted");
    expect((await readRecord(folder))?.state).toBe("interrupted");
  });

  it("keeps the peak of the run's earlier processes", async () => {
    const { folder, report } = await follow("peak");
    writeFileSync(
      join(folder, "report.json"),
      JSON.stringify({
        state: "interrupted",
        updated: "2026-01-01T00:00:00.000Z",
        stages: [],
        masks: [],
        answers: [],
        facts: [],
        peak_bytes: 9e12,
      }),
    );
    begin.forEach(report.show);
    await report.finish("finished");
    expect((await readRecord(folder))?.peak_bytes).toBe(9e12);
  });

  it("writes nothing for a run that was refused", async () => {
    const { folder, report } = await follow("refused");
    report.show(begin[0]!);
    await report.finish("failed");
    expect(await readRecord(folder)).toBeUndefined();
  });

  it("warns once where it cannot be written, and ends nothing", async () => {
    const { folder, report, clock, warned, step } = await follow("readonly");
    writeFileSync(join(folder, "recipe.yaml"), "name: [");
    begin.forEach(report.show);
    clock.ms += 60_000;
    step(1);
    await report.finish("finished");
    expect(warned).toMatchObject([{ code: "REPORT_NO_RUN" }]);
  });
});

describe("a run's folder that holds something else", () => {
  it.each([
    ["recipe.yaml", "a: [", "REPORT_NO_RUN"],
    ["metrics.jsonl", '{"stage":"align","loss":1}\n', "REPORT_METRICS"],
    ["metrics.jsonl", '{"stage":"align","step":1,"answers":4}\n', "REPORT_METRICS"],
    ["report.json", '{"state":"sleeping"}', "REPORT_RECORD"],
    ["scores/pope.json", '{"accuracy":"high"}', "REPORT_SCORE"],
  ])("%s: %j ends as %s", async (file, content, code) => {
    const { folder } = await follow(`bad ${file} ${content.length}`);
    await mkdir(join(folder, "scores"), { recursive: true });
    writeFileSync(join(folder, file), content);
    await expect(readRun(folder, async () => undefined)).rejects.toMatchObject({ code });
  });

  it("ends its metrics before the first damaged line", async () => {
    for (const damaged of ["1", "[1]", "{]"]) {
      const { folder, step } = await follow(`damaged ${damaged}`);
      step(1);
      writeFileSync(join(folder, "metrics.jsonl"), `${damaged}\n`, { flag: "a" });
      step(2);
      const { stages } = await readRun(folder, async () => undefined);
      expect(stages[0]!.points).toHaveLength(1);
    }
  });

  it("shows losses that were not finite as missing", async () => {
    const { folder, step } = await follow("nan");
    step(1);
    const line = readFileSync(join(folder, "metrics.jsonl"), "utf8");
    writeFileSync(join(folder, "metrics.jsonl"), line + line.replace('"loss":1', '"loss":null'));
    const { stages } = await readRun(folder, async () => undefined);
    expect(stages[0]!.points.map(({ loss }) => loss)).toEqual([1, Number.NaN]);
  });
});
