import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createProgram } from "./program.ts";
import { run } from "./run.fixture.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "teach-readers-"));
  mkdirSync(join(folder, "photos"));
  const rows = ["dog", "cat", "car", "bus"].map((name) => `${name}.jpg,A ${name} near a road.`);
  for (const name of ["dog", "cat", "car", "bus"]) writeFileSync(join(folder, "photos", `${name}.jpg`), "");
  writeFileSync(join(folder, "photos/captions.csv"), `file_name,caption\n${rows.join("\n")}\n`);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const teach = (...more: string[]): Promise<string> => run("teach", at("photos"), "--out", at("o.json"), ...more);
const address = ["--teacher", "http://127.0.0.1:1/v1"];
const refused = (option: string, by: RegExp | string): object => ({
  code: "TEACHER_OPTION",
  exitCode: 2,
  details: { got: expect.stringMatching(new RegExp(`^${option}, which is read by .*${String(by)}`)) },
});

it.each([
  [["--model", "m"], "--model", "an endpoint or a .yaml file"],
  [["--budget", "1"], "--budget", "local:MODEL"],
  [["--queue-name", "x"], "--queue-name", "local:MODEL"],
  [["--concurrency", "8"], "--concurrency", "an endpoint"],
  [["--kinds", "count,conversation=2"], "--kinds conversation", "an endpoint"],
  [[...address, "--model", "m", "--answers", "short"], "--answers", "facts"],
  [[...address, "--model", "m", "--balance", "object"], "--balance", "facts"],
  [[...address, "--model", "m", "--smallest", "0.1"], "--smallest", "facts"],
  [[...address, "--model", "m", "--kinds", "detail,presence"], "--kinds presence", "facts"],
  [["--teacher", "local:m", "--model", "m"], "--model", "an endpoint or a .yaml file"],
  [["--teacher", "local:m", "--batch"], "--batch", "an endpoint or a .yaml file"],
  [["--teacher", "local:m", "--kinds", "left-right"], "--kinds left-right", "facts"],
])("refuses %j, and writes nothing", async (args, option, by) => {
  await expect(teach(...args)).rejects.toMatchObject(refused(option, by));
  expect(existsSync(at("o.json"))).toBe(false);
});

it("says where the option belongs when endpoints have their own", async () => {
  const price = teach("--teacher", at("teachers.yaml"), "--price", "1/2");
  await expect(price).rejects.toMatchObject({
    details: { fix: `leave --price out, or write it for each endpoint in ${at("teachers.yaml")}` },
  });
});

it("takes what is read beside the teacher: by test questions, and by a judge", async () => {
  const plan = [...address, "--model", "m", "--price", "free", "--dry-run", "--json"];
  const questions = ["--keep-out", "1", "--questions", at("q"), "--smallest", "0.1"];
  expect(JSON.parse(await teach(...plan, ...questions))).toMatchObject({ spent: 0 });
  await expect(teach(...plan, "--smallest", "0.1")).rejects.toMatchObject({ code: "TEACHER_OPTION" });

  writeFileSync(at("t.yaml"), "model: m\nendpoints:\n  - url: http://127.0.0.1:1/v1\n    price: free\n");
  const pool = ["--teacher", at("t.yaml"), "--dry-run", "--json", "--concurrency", "2"];
  await expect(teach(...pool)).rejects.toMatchObject({ code: "TEACHER_OPTION" });
  const judge = ["--judge", "j", "--judge-at", "http://127.0.0.1:2/v1"];
  expect(JSON.parse(await teach(...pool, ...judge))).toMatchObject({ spent: 0 });
});

it("knows every option whose help names a teacher", async () => {
  const program = await createProgram("teach");
  const options = program.commands[0]!.options.filter(({ description }) => /^(facts|endpoint): /.test(description));
  expect(options.length).toBeGreaterThan(20);
  for (const { long, description, required, argChoices } of options) {
    // kinds are names of both, and a plan of facts is a word
    if (long === "--kinds" || long === "--dry-run") continue;
    const value = argChoices?.[0] ?? (long === "--price" ? "free" : "1");
    const other = description.startsWith("facts") ? [...address, "--model", "m"] : [];
    const given = teach(...other, long!, ...(required ? [value] : []));
    await expect(given, long).rejects.toMatchObject({ code: "TEACHER_OPTION" });
  }
});
