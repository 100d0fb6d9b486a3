// `llava train` as other tools see it: events on stdout, a report, TensorBoard's files, and runs compared.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readProto } from "../src/formats/protobuf.ts";
import { writeTinyProject } from "./tiny-bases.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = process.env["LLAVA_KEEP_RUN"] ?? mkdtempSync(join(tmpdir(), "llava-train-report-"));
const llava = (...args: string[]) =>
  spawnSync(process.execPath, ["scripts/llava.mjs", ...args], { cwd: root, encoding: "utf8" });

interface Line {
  readonly type: string;
  readonly time: string;
  readonly [key: string]: unknown;
}

interface Step {
  readonly stage: string;
}

let lines: Line[];

beforeAll(async () => {
  for (const name of ["one", "two"]) {
    const text = await writeTinyProject(folder, name);
    const evaluate = "evaluate: { every: 3, answers: 2, held_out: 3 }";
    const recipe = text.replace("checkpoint_every: 2 }", `checkpoint_every: 2, ${evaluate} }`);
    writeFileSync(join(folder, `${name}.yaml`), name === "one" ? recipe : recipe.replace("seed: 7", "seed: 8"));
    const { status, stdout, stderr } = llava("train", join(folder, `${name}.yaml`), "--json", "--threads", "1");
    expect(stderr).toContain("stage align");
    expect(status).toBe(0);
    lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
  }
}, 300_000);
afterAll(() => {
  if (process.env["LLAVA_KEEP_RUN"] === undefined) rmSync(folder, { recursive: true });
});

const run = (name: string, ...path: string[]): string => join(folder, name, ...path);

describe("llava train --json", () => {
  it("prints every event as a line with its time, the result last", () => {
    const types = lines.map(({ type }) => type);
    expect(types.filter((type) => type === "checked")).toHaveLength(2);
    expect(types.filter((type) => type === "step").length).toBeGreaterThan(10);
    expect(types).toContain("evaluation");
    expect(types.slice(-2)).toEqual(["saved", "result"]);
    for (const { time } of lines.slice(0, -1)) expect(Date.parse(time)).toBeGreaterThan(1.7e12);
    expect(lines.at(-1)).toMatchObject({ model: run("two", "model"), report: run("two", "report.html") });
  });
});

describe("the run's folder", () => {
  it("holds a finished report with curves, masks, answers about pictures, and the machine", () => {
    const page = readFileSync(run("two", "report.html"), "utf8");
    for (const shown of [">finished<", "held out", "<mark>", "data:image/jpeg;base64,", "ONNX Runtime", "yaml-key"]) {
      expect(page).toContain(shown);
    }
    expect(page).not.toMatch(/http-equiv="refresh"|<script|https?:\/\//);
    const record = JSON.parse(readFileSync(run("two", "report.json"), "utf8")) as { state: string; peak_bytes: number };
    expect(record.state).toBe("finished");
    expect(record.peak_bytes).toBeGreaterThan(50e6);
  });

  it("holds TensorBoard's events of every step", () => {
    for (const stage of ["align", "instruct"]) {
      const steps = lines.filter(({ type, metrics }) => type === "step" && (metrics as Step).stage === stage).length;
      const [file, ...more] = readdirSync(run("two", "tensorboard", stage));
      expect(more).toEqual([]);
      const bytes = readFileSync(run("two", "tensorboard", stage, file!));
      const found: number[] = [];
      for (let at = 0; at < bytes.length;) {
        const length = Number(bytes.readBigUInt64LE(at));
        const fields = [...readProto(bytes.subarray(at + 12, at + 12 + length))];
        const step = fields.find(({ field }) => field === 2)?.value;
        if (step !== undefined) found.push(Number(step));
        at += length + 16;
      }
      expect(new Set(found).size).toBe(steps);
    }
  });
});

describe("llava report", () => {
  it("writes a run's report anew, from its folder alone", () => {
    const before = readFileSync(run("two", "report.html"), "utf8");
    const out = join(folder, "again.html");
    expect(llava("report", run("two"), "--out", out)).toMatchObject({ status: 0, stdout: `report  ${out}\n` });
    expect(readFileSync(out, "utf8")).toBe(before);
  });

  it("compares runs on one page", () => {
    const out = join(folder, "both.html");
    const { status, stdout } = llava("report", run("one"), run("two"), "--out", out, "--json");
    expect(status).toBe(0);
    const { runs } = JSON.parse(stdout) as { runs: { stages: { stage: string; loss: number }[] }[] };
    expect(runs.map(({ stages }) => stages.map(({ stage }) => stage))).toEqual([
      ["align", "instruct"],
      ["align", "instruct"],
    ]);
    const page = readFileSync(out, "utf8");
    expect(page).toMatch(/<th class="key-path">seed<\/th>\s*<td class="value">7<\/td>\s*<td class="value">8<\/td>/);
    expect(page).toContain("one and two");
  });

  it.each([
    [["no/such/run"], /^error\[REPORT_NO_RUN\]: .*no recipe.yaml/],
    [["a", "./a"], /^error\[REPORT_TWICE\]: /],
  ])("refuses %j", (args, message) => {
    const { status, stderr, stdout } = llava("report", ...args);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });
});
