// `llava chat` and `llava eval` as a shell sees them, on a tiny LLaVA made of a golden's weights and a tiny tokenizer.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { encodePng } from "../image/node.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { openLlava } from "../models/node.ts";
import { saveModel } from "../models/save-node.ts";
import { tinyFiles } from "../text/tokenizers.fixture.ts";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
let folder: string;
let model: string;
let photo: string;

function llava(args: readonly string[], typed = "", env = process.env): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
    child.stdin!.end(typed);
  });
}

// skipped where ../shared does not lie beside the project
describe.skipIf(!lab.present)("answering", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "answering-"));
    [model, photo] = [join(folder, "model"), join(folder, "a.png")];
    const files = await openLlava(lab.path("goldens/llava-clip-untied"));
    const { tokenizer, config } = tinyFiles("bytes");
    const size = { height: 32, width: 32 };
    await saveModel(model, {
      ...files,
      config: { ...files.config, template: "chatml" },
      tokenizerFiles: { where: "tiny", tokenizerJson: tokenizer, tokenizerConfig: config },
      preprocessor: parsePreprocessor({ image_processor_type: "CLIPImageProcessor", size, crop_size: size }, "tiny"),
    });
    await files.close();
    for (const [i, name] of ["a.png", "b.png"].entries()) {
      const data = Uint8Array.from({ length: 48 * 40 * 3 }, (_, at) => (at * (i + 3)) % 256);
      await writeFile(join(folder, name), await encodePng({ width: 48, height: 40, data }));
    }
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("answers once: JSON for machines, text for people, the same each time", async () => {
    const ask = [
      "chat",
      model,
      "--image",
      photo,
      "--image",
      join(folder, "b.png"),
      "--prompt",
      "What?",
      "--max-new-tokens",
      "9",
    ];
    const [json, text] = await Promise.all([llava([...ask, "--json"]), llava(ask)]);
    expect([json.code, json.stderr, text.code, text.stderr]).toEqual([0, "", 0, ""]);
    const answer = JSON.parse(json.stdout) as Record<string, unknown>;
    const keys = ["text", "token_ids", "prompt_tokens", "completion_tokens", "finish_reason", "seconds"];
    expect(Object.keys(answer)).toEqual(keys);
    expect(answer["token_ids"]).toHaveLength(answer["completion_tokens"] as number);
    // two pictures of 16 tokens each
    expect(answer["prompt_tokens"]).toBeGreaterThan(32);
    expect(["stop", "length"]).toContain(answer["finish_reason"]);
    expect(text.stdout).toBe(`${String(answer["text"])}\n`);
  });

  it("answers in blocks of 4 bits, which the first start makes; not with adapters beside", async () => {
    const env = { ...process.env, LLAVA_CACHE: join(folder, "cache") };
    const ask = ["chat", model, photo, "What?", "--max-new-tokens", "5", "--json", "--weights", "int4"];
    const [first, second] = [await llava(ask, "", env), await llava(ask, "", env)];
    expect([first.code, second.code]).toEqual([0, 0]);
    const { token_ids: ids } = JSON.parse(first.stdout) as { token_ids: number[] };
    expect(ids.length).toBeGreaterThan(0);
    expect(JSON.parse(second.stdout)).toMatchObject({ token_ids: ids });
    expect(await readdir(join(folder, "cache", "blocks"))).toHaveLength(1);
    const refused = await llava(
      ["serve", model, "--adapter", `x=${folder}`, "--weights", "int4", "--port", "0"],
      "",
      env,
    );
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("error[ADAPTER_BLOCKS]")]);
  });

  it("talks: questions from a pipe, commands, mistakes that do not end it", async () => {
    const typed = `Hi\n/image "${photo}" ${join(folder, "none.png")}\n/image ${photo}\nWho?\n\n/clear\n/what\n/exit\nnever asked\n`;
    const { code, stdout, stderr } = await llava(["chat", model, "--max-new-tokens", "4", "--json"], typed);
    expect(code).toBe(0);
    const [hi, who, ...more] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { prompt_tokens: number });
    expect(more).toEqual([]);
    expect(who!.prompt_tokens).toBeGreaterThan(hi!.prompt_tokens + 16);
    expect(stderr).toMatch(/error\[PICTURE_MISSING\]: .*none\.png/);
    expect(stderr).toContain("With the next question: a picture, 48×40.");
    expect(stderr).toContain("Forgotten.");
    expect(stderr).toContain("No command /what");
  });

  it("scores a task, sighted and blind, and writes the answers down", async () => {
    const questions = join(folder, "q.jsonl");
    const line = (image: string, label: string, id: number) =>
      JSON.stringify({ question_id: id, image, text: "Is there a dog?", label });
    await writeFile(questions, [line("a.png", "yes", 1), line("b.png", "no", 2), line("a.png", "no", 3)].join("\n"));
    const answers = join(folder, "answers.jsonl");
    const args = ["eval", model, "--task", "pope", "--questions", questions, "--images", folder];
    const [json, blind] = await Promise.all([
      llava([...args, "--json"]),
      llava([...args, "--blind", "--answers", answers]),
    ]);
    const score = JSON.parse(json.stdout) as Record<string, unknown>;
    const figures = ["task", "n", "accuracy", "precision", "recall", "f1", "yes_ratio"];
    expect(Object.keys(score)).toEqual([...figures, "intervals", "bootstrap", "run"]);
    expect(score["run"]).toMatchObject({ prompt: "<image>\nIs there a dog?", template: "chatml", blind: false });
    expect([score["task"], score["n"], json.code, blind.code]).toEqual(["pope", 3, 0, 0]);
    expect(blind.stdout).toMatch(/^task +pope\nn +3\naccuracy +\d+\.\d % /);
    const written = (await readFile(answers, "utf8"))
      .trim()
      .split("\n")
      .map((each) => JSON.parse(each) as { image: string });
    expect(written.map(({ image }) => image)).toEqual(["b.png", "a.png", "b.png"]);
  });

  it("goes on after a kill; its answers are scored and compared anew", async () => {
    const questions = join(folder, "many.jsonl");
    const line = (id: number) =>
      JSON.stringify({ question_id: id, image: id % 2 ? "a.png" : "b.png", text: `<b>${id}</b>?`, label: "yes" });
    await writeFile(questions, Array.from({ length: 24 }, (_, id) => line(id)).join("\n"));
    const run = (out: string) => [
      "eval",
      model,
      "--task",
      "pope",
      "--questions",
      questions,
      "--images",
      folder,
      "--both",
      "--out",
      out,
    ];
    const [cut, whole] = [join(folder, "cut"), join(folder, "whole")];
    const child = execFile(process.execPath, [main, ...run(cut)]);
    const killed = new Promise((resolve) => child.on("exit", resolve));
    const lines = async (): Promise<number> =>
      (await readFile(join(cut, "answers.jsonl"), "utf8").catch(() => "")).split("\n").length;
    while ((await lines()) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGKILL");
    await killed;
    const [again, uncut] = await Promise.all([llava([...run(cut), "--json"]), llava([...run(whole), "--json"])]);
    expect([again.code, uncut.code]).toEqual([0, 0]);
    for (const name of ["answers.jsonl", "answers-blind.jsonl", "score.json", "score-blind.json"])
      expect(await readFile(join(cut, name), "utf8")).toBe(await readFile(join(whole, name), "utf8"));
    const result = JSON.parse(again.stdout) as Record<string, unknown>;
    expect(result["blind"]).toMatchObject({ n: 24 });
    expect(Object.keys(result["seeing"] as object)).toEqual(["difference", "intervals", "better", "worse", "same"]);
    const page = await readFile(join(cut, "report.html"), "utf8");
    expect(page).toContain("&lt;b&gt;7&lt;/b&gt;?");
    expect(page).not.toContain("<b>7");

    const files = [join(cut, "answers-blind.jsonl"), join(cut, "answers.jsonl")];
    const [score, compared] = await Promise.all([
      llava(["eval", "score", files[1]!, "--json"]),
      llava(["eval", "compare", ...files, "--task", "pope"]),
    ]);
    const { blind: _, seeing: __, ...sighted } = result;
    expect(JSON.parse(score.stdout)).toEqual(sighted);
    expect(compared.stdout).toMatch(/^ +first +second +difference +95 %\naccuracy +\d/);
  });

  it.each([
    [["eval", "MODEL", "--task", "pope", "--images", "."], "USAGE"],
    [["eval", "score", "none.jsonl", "--task", "gqa"], "FILE_MISSING"],
    [["eval", "score", "none.jsonl"], "TASK_MISSING"],
    [["eval", "MODEL", "--task", "pope", "--questions", "q", "--images", ".", "--both", "--blind"], "EVAL_OPTIONS"],
    [["chat", "MODEL", "--prompt", "x", "--image", "none.jpg"], "PICTURE_MISSING"],
    [["chat", "nowhere", "--prompt", "x"], "MODEL_MISSING"],
    [["chat", "MODEL", "--prompt", "x", "--temperature", "hot"], "USAGE"],
    [["chat", "MODEL", "--prompt", "LONG"], "PROMPT_TOO_LONG"],
    [["chat", "MODEL", "--prompt", "x", "--template", "vicuna"], "TEMPLATE_UNKNOWN"],
    [["eval", "MODEL", "--task", "pop", "--questions", "q", "--images", "."], "USAGE"],
    [["eval", "MODEL", "--task", "pope", "--questions", "none.jsonl", "--images", "."], "FILE_MISSING"],
  ])("%j ends with 2 and one line", async (args, code) => {
    const ended = await llava(args.map((arg) => ({ MODEL: model, LONG: "word ".repeat(400) })[arg] ?? arg));
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toMatch(new RegExp(`^error\\[${code}\\]: [^\\n]+\\n$`));
  });
});
