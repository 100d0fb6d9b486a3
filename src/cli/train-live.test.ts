// The live view of a run, event by event, on a terminal that is played by code.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { TrainEvent } from "../train/events.ts";
import type { StageSums } from "../train/stage-data.ts";
import { log } from "./progress.ts";
import { fakeTerminal } from "./screen.fixture.ts";
import { chooseTrainView } from "./train-live.ts";

const checked = (stage: string): TrainEvent => ({
  type: "checked",
  stage,
  sums: { steps: 40 } as StageSums,
  masks: [],
});
const step = (number: number): TrainEvent => ({
  type: "step",
  metrics: {
    stage: "align",
    step: number,
    steps: 40,
    loss: 4 / number,
    learning_rate: 1e-5,
    learning_rates: { projector: 1e-5 },
    grad_norm: 2,
    tokens: 500,
    supervised_tokens: 50,
    seconds: 0.5,
  },
});
const evaluation: TrainEvent = {
  type: "evaluation",
  metrics: {
    stage: "align",
    step: 20,
    steps: 40,
    held_out_loss: 1.5,
    score: { task: "pope", n: 10, accuracy: 0.8 },
    answers: [{ picture: "a.jpg", question: "What\nis it?", answer: "A \u001B[31mdog", expected: "A dog." }],
    best: true,
    seconds: 3,
  },
};

afterEach(() => void vi.restoreAllMocks());

/** What the view logs goes to the same terminal, as in a shell. */
function liveView(columns: number, rows: number) {
  const terminal = fakeTerminal(columns, rows);
  vi.spyOn(process.stderr, "write").mockImplementation((text) => (terminal.write(String(text)), true));
  vi.stubEnv("TERM", "xterm");
  const view = chooseTrainView({ terminal });
  return { terminal, view };
}

describe("the live view", () => {
  it("shows stage, plot, figures, time left and a sample answer, below what is logged", () => {
    const { terminal, view } = liveView(90, 30);
    for (const stage of ["align", "instruct"]) view.show(checked(stage));
    view.show({ type: "stage", stage: "align", from: 1, steps: 40 });
    for (let number = 1; number <= 20; number++) view.show(step(number));
    view.show(evaluation);
    log("a warning");
    const text = terminal.lines().join("\n");
    for (const shown of [
      /a warning\nalign {3}stage 1 of 2 {3}step 20 of 40 \(50 %\) {3}(?:9\.|10)[.\d]* s left/,
      /[⠁-⣿]/,
      /loss 0\.200 {3}◆ held-out 1\.500 \(best 1\.500 at step 20\) {3}pope 80\.0 % right/,
      /1,000 tokens\/s {3}0\.50 s a step {3}learning rate 1\.0e-5 {3}gradient norm 2\.0 {3}memory \d/,
      /asked {2}What is it\?\nsays {3}A \uFFFD\[31mdog\ndata {3}A dog\./,
    ]) {
      expect(text).toMatch(shown);
    }
    view.finish();
  });

  it("leaves a line for the stage and nothing else, and lets go of the terminal", () => {
    const { terminal, view } = liveView(70, 20);
    view.show({ type: "stage", stage: "align", from: 1, steps: 40 });
    for (let number = 1; number <= 40; number++) view.show(step(number));
    expect(terminal.listeners.size).toBe(1);
    const continued = process.listenerCount("SIGCONT");
    view.show({ type: "checkpoint", path: "x" });
    expect(terminal.lines()).toEqual(["align   40 steps   loss 3.000 → 0.101", ""]);
    expect([terminal.listeners.size, process.listenerCount("SIGCONT")]).toEqual([0, continued - 1]);
    view.finish();
  });

  it("is gone after a failure in the middle", () => {
    const { terminal, view } = liveView(70, 20);
    view.show({ type: "stage", stage: "align", from: 1, steps: 40 });
    view.show(step(1));
    view.finish();
    log("error[X]: no");
    expect(terminal.lines()).toEqual(["error[X]: no", ""]);
  });

  it("shows no plot where there is no room for it", () => {
    const { terminal, view } = liveView(70, 8);
    view.show({ type: "stage", stage: "align", from: 1, steps: 40 });
    view.show(step(1));
    expect(terminal.lines().join("\n")).not.toMatch(/[⠁-⣿]/);
    view.finish();
  });

  it.each([
    [{ plain: true }, "xterm"],
    [{}, "dumb"],
  ])("gives way to lines: %j on %s", (options, term) => {
    const terminal = fakeTerminal(70, 20);
    vi.stubEnv("TERM", term);
    const view = chooseTrainView({ ...options, terminal });
    view.show({ type: "stage", stage: "align", from: 1, steps: 40 });
    view.show(step(1));
    expect(terminal.lines()).toEqual([""]);
    view.finish();
  });
});
