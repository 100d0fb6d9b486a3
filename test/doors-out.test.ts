// Models out of every door as a user's shell sees it: a tiny one is trained, exported, killed on the way, handed over.
import { existsSync, watch } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../src/image/node.ts";
import { type Ended, project, runLlava } from "./process.ts";
import { weightsHash } from "./tiny-bases.ts";

let root: string;
const at = (...names: string[]): string => join(root, ...names);
const llava = (args: readonly string[], onStart?: (kill: () => void) => void): Promise<Ended> =>
  runLlava(args, { cwd: root, ...(onStart && { onStart }) });

/** What is in the folder but not part of it. */
const leftovers = async (): Promise<string[]> => (await readdir(root)).filter((name) => name.endsWith(".tmp"));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "doors-"));
  await mkdir(at("photos"));
  const samples = await Promise.all(
    [40, 200].map(async (shade, i) => {
      const data = new Uint8Array(30 * 20 * 3).fill(shade);
      await writeFile(at("photos", `${i}.png`), await encodePng({ width: 30, height: 20, data }));
      const conversations = [
        { from: "human", value: "<image>\nIs it dark?" },
        { from: "gpt", value: i === 0 ? "yes" : "no" },
      ];
      return { id: String(i), image: `${i}.png`, conversations };
    }),
  );
  await writeFile(at("samples.json"), JSON.stringify(samples));
  await writeFile(
    at("recipe.yaml"),
    `name: shades
model:
  vision: { path: ${join(project, "assets/tiny/vision")}, layer: -2, tokens: patch }
  language: { path: ${join(project, "assets/tiny/language")} }
  template: chatml
stages:
  - { name: both, data: samples.json, images: photos, train: [projector, language], batch_size: 2, steps: 1 }
output: run
`,
  );
  expect(await llava(["train", "recipe.yaml", "--plain"])).toMatchObject({ code: 0 });
});
afterAll(() => rm(root, { recursive: true }));

describe("llava export", () => {
  it.each([
    ["hf", ["config.json", "model.safetensors", "tokenizer.json"]],
    ["gguf", ["shades-gguf-F16.gguf", "mmproj-shades-gguf-F16.gguf"]],
    ["onnx", ["onnx", "tokenizer.json"]],
  ])("--to %s prints its folder, which has a card, and is not replaced unasked", async (to, files) => {
    const out = `shades-${to}`;
    expect(await llava(["export", "run/model", "--to", to, "--out", out])).toMatchObject({
      code: 0,
      stdout: `${out}\n`,
    });
    expect(await readdir(at(out))).toEqual(expect.arrayContaining([...files, "README.md"]));
    const again = await llava(["export", "run/model", "--to", to, "--out", out]);
    expect(again).toMatchObject({ code: 2, stdout: "" });
    expect(again.stderr).toMatch(/^error\[OUTPUT_EXISTS\]: expected .*--force/);
    const forced = await llava(["export", "run/model", "--to", to, "--out", out, "--force", "--json"]);
    expect(forced.code).toBe(0);
    expect(JSON.parse(forced.stdout)).toEqual({ model: out, to });
    expect(await leftovers()).toEqual([]);
  });

  it("answers as before through the hf door", async () => {
    const ask = (model: string) =>
      llava(["chat", model, "--image", "photos/0.png", "--prompt", "Is it dark?", "--max-new-tokens", "4", "--json"]);
    const ids = ({ stdout }: Ended): unknown => (JSON.parse(stdout) as { token_ids: unknown }).token_ids;
    expect(ids(await ask("shades-hf"))).toEqual(ids(await ask("run/model")));
  });

  it("refuses with 2 what a door can't say, before anything is there", async () => {
    const cases: [string[], string][] = [
      [["--to", "tf"], "USAGE"],
      [["--to", "hf", "--quantize", "Q8_0"], "EXPORT_OPTION"],
      [["--to", "hf", "--set", "seed=1"], "EXPORT_OPTION"],
      [["--to", "job"], "RECIPE_FILE"],
    ];
    const ends = cases.map(([options]) => llava(["export", "run/model", "--out", "never", ...options]));
    for (const [i, ended] of (await Promise.all(ends)).entries()) {
      expect(ended).toMatchObject({ code: 2, stdout: "" });
      expect(ended.stderr).toContain(`error[${cases[i]![1]}]`);
    }
    const missing = await llava(["export", "nowhere", "--to", "hf", "--out", "never"]);
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining("error[MODEL_MISSING]") as string });
    expect(existsSync(at("never"))).toBe(false);
  });

  it("killed on the way leaves nothing, or the older export; the same command makes it whole", async () => {
    const args = ["export", "run/model", "--to", "onnx", "--quantize", "all", "--out", "killed"];
    const killedEarly = async (more: readonly string[]): Promise<void> => {
      const watcher = watch(root);
      const { code } = await llava([...args, ...more], (kill) => {
        watcher.on("change", (_, name) => String(name).endsWith(".model.tmp") && kill());
      });
      watcher.close();
      expect(code).toBe(null);
    };
    await killedEarly([]);
    expect(existsSync(at("killed"))).toBe(false);
    expect(await leftovers()).not.toEqual([]);
    expect(await llava(args)).toMatchObject({ code: 0 });
    expect(await leftovers()).toEqual([]);
    const whole = (await readdir(at("killed", "onnx"))).toSorted();
    await killedEarly(["--force"]);
    expect((await readdir(at("killed", "onnx"))).toSorted()).toEqual(whole);
    expect(existsSync(at("killed", "README.md"))).toBe(true);
  });
});

describe("llava export --to job and llava job import", () => {
  it("hand a recipe over and take the result back", async () => {
    const exported = await llava([
      "export",
      "recipe.yaml",
      "--to",
      "job",
      "--out",
      "job",
      "--set",
      "stages.both.steps=2",
      "--json",
    ]);
    expect(exported.code).toBe(0);
    expect(JSON.parse(exported.stdout)).toEqual({ job: "job", to: "job" });
    const { stages } = JSON.parse(await readFile(at("job", "job.json"), "utf8")) as { stages: { steps: number }[] };
    expect(stages.map(({ steps }) => steps)).toEqual([2]);
    const early = await llava(["job", "import", "job", "--out", "trained"]);
    expect(early).toMatchObject({ code: 2, stderr: expect.stringContaining("error[JOB_UNFINISHED]") as string });
    // as train.py would leave it; test/golden/job.test.ts runs train.py itself
    await cp(at("run", "model"), at("job", "out", "model"), { recursive: true });
    await writeFile(at("job", "out", "run.json"), '{"torch":"2.13.0","transformers":"5.23.0","processes":1}');
    expect(await llava(["job", "import", "job", "--out", "trained"])).toMatchObject({ code: 0, stdout: "trained\n" });
    expect(await weightsHash(at("trained"))).toBe(await weightsHash(at("run", "model")));
    expect(await llava(["job", "import", "job", "--out", "trained"])).toMatchObject({ code: 2 });
    expect(await llava(["job", "import", "job", "--out", "trained", "--force"])).toMatchObject({ code: 0 });
  });
});
