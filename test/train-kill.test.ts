// Real processes that are killed, interrupted or doubled: whatever happened, the resumed run ends as an undisturbed one.
// LLAVA_KILLS sets how many times a run is killed: node bench/kills.mjs 200.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { random } from "../src/data/random.ts";
import { readMetrics } from "../src/train/metrics.ts";
import { writeTinyProject } from "./tiny-bases.ts";

const kills = Number(process.env["LLAVA_KILLS"] ?? 20);
const killsPerRun = 4;
const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

let folder: string;
let recipe: string;
let whole: Outcome;
/** lines of events, and the time, that an undisturbed run takes */
let usual: { readonly lines: number; readonly milliseconds: number };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-kill-"));
  recipe = join(folder, "recipe.yaml");
  const text = await writeTinyProject(folder, "run");
  // a checkpoint a step: a large share of the time goes into writing them
  const often = text.replace("template: plain }", "template: plain, checkpoint_every: 1 }");
  await writeFile(recipe, often.replace("checkpoint_every: 2", "checkpoint_every: 1"));
  const started = performance.now();
  const run = start("whole");
  expect(await run.ended).toBe(0);
  usual = { lines: run.lines(), milliseconds: performance.now() - started };
  whole = await outcome("whole");
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Running {
  readonly child: ChildProcess;
  /** exit code, or the signal that ended it */
  readonly ended: Promise<number | string>;
  /** resolves once so many events were told, or the process ended */
  reached(lines: number): Promise<unknown>;
  lines(): number;
  stderr(): string;
}

/** Starts a run, or goes on with it, with folders of its own. */
function start(name: string): Running {
  const set = [`output=${join(folder, name)}`, `cache=${join(folder, `${name}-cache`)}`].flatMap((one) => [
    "--set",
    one,
  ]);
  const args = [program, "train", recipe, "--resume", "--threads", "1", "--json", ...set];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [lines, stderr] = [0, ""];
  const waiting: { readonly at: number; readonly done: () => void }[] = [];
  child.stdout.on("data", (text: Buffer) => {
    lines += text.toString().split("\n").length - 1;
    for (const { at, done } of waiting) if (lines >= at) done();
  });
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  return {
    child,
    ended,
    reached: (at) =>
      Promise.race([ended, new Promise<void>((done) => (lines >= at ? done() : waiting.push({ at, done })))]),
    lines: () => lines,
    stderr: () => stderr,
  };
}

interface Outcome {
  readonly weights: string;
  readonly metrics: string;
}

const sha256 = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");

/** Digests of the model's weights, and of the metrics without the time they took. */
async function outcome(name: string): Promise<Outcome> {
  const { steps } = await readMetrics(join(folder, name, "metrics.jsonl"));
  return {
    weights: sha256(await readFile(join(folder, name, "model", "model.safetensors"))),
    metrics: sha256(JSON.stringify(steps.map((line) => ({ ...line, seconds: 0 })))),
  };
}

/** Lets a run go on to its end. */
async function finish(name: string): Promise<Outcome> {
  const run = start(name);
  expect(await run.ended, run.stderr()).toBe(0);
  return outcome(name);
}

it(
  `kill -9 at ${kills} random instants: every run ends with the undisturbed run's weights and metrics`,
  async () => {
    const draw = random("kill", Number(process.env["LLAVA_KILLS_SEED"] ?? 0));
    let killed = 0;
    for (let i = 0; killed < kills; i++) {
      const name = `killed-${i}`;
      for (let k = 0; k < killsPerRun && killed < kills; k++) {
        const run = start(name);
        // half of them anywhere in time, half just behind an event, as writing follows these
        if (draw.float() < 0.5) await Promise.race([run.ended, wait(draw.float() * usual.milliseconds)]);
        else {
          await run.reached(1 + Math.floor(draw.float() * usual.lines));
          await wait(draw.float() * 20);
        }
        run.child.kill("SIGKILL");
        const code = await run.ended;
        if (code === "SIGKILL") killed++;
        else expect(code, run.stderr()).toBe(0);
        if (code === 0) break;
      }
      expect(await finish(name), name).toEqual(whole);
      await rm(join(folder, name), { recursive: true });
    }
  },
  kills * 30_000,
);

it.each(["SIGINT", "SIGTERM"] as const)(
  "%s saves, exits with 130 within 10 s, and the run goes on from there",
  async (signal) => {
    const run = start(signal);
    await run.reached(usual.lines >> 1);
    const sent = performance.now();
    run.child.kill(signal);
    expect(await run.ended, run.stderr()).toBe(130);
    expect(performance.now() - sent).toBeLessThan(10_000);
    expect(run.stderr()).toMatch(/saved up to step \d/);
    expect(await finish(signal)).toEqual(whole);
  },
  120_000,
);

it("a second Ctrl-C ends at once, and loses no more than a kill", async () => {
  const run = start("twice");
  await run.reached(usual.lines >> 1);
  run.child.kill("SIGINT");
  await Promise.race([
    run.ended,
    vi.waitUntil(() => run.stderr().includes("Stopping"), { interval: 1, timeout: 10_000 }),
  ]);
  // held while it stops, beyond the time in which a second signal is npm's echo of the first
  run.child.kill("SIGSTOP");
  await wait(700);
  run.child.kill("SIGINT");
  run.child.kill("SIGCONT");
  const sent = performance.now();
  expect(await run.ended).toBe(130);
  expect(performance.now() - sent).toBeLessThan(5000);
  expect(await finish("twice")).toEqual(whole);
}, 120_000);

it("refuses a second run in the same folder, and takes over from one that was killed", async () => {
  const first = start("double");
  await first.reached(usual.lines >> 1);
  first.child.kill("SIGSTOP");
  const second = start("double");
  expect(await second.ended).toBe(2);
  expect(second.stderr()).toContain(
    `error[RUN_BUSY]: expected no other run in this output folder, got process ${first.child.pid}`,
  );
  first.child.kill("SIGKILL");
  await first.ended;
  expect(await finish("double")).toEqual(whole);
}, 120_000);
