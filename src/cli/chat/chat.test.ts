// `llava chat` as a shell sees it: one answer, several, pictures and questions from pipes, what is refused.
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeFailure, exitCodeOf } from "../failure.ts";
import { run } from "../run.fixture.ts";
import { type ChatFolder, jsonLines, llava, main, makeChatFolder } from "./chat.fixture.ts";

let chat: ChatFolder;
beforeAll(async () => {
  chat = await makeChatFolder();
  await writeFile(
    join(chat.folder, "dogs.json"),
    '{"type":"object","properties":{"dogs":{"type":"boolean"}},"required":["dogs"]}',
  );
  await writeFile(join(chat.folder, "long.json"), '{"type":"string","minLength":2}');
});
afterAll(() => chat.remove());
const ask = (args: readonly string[], typed?: string | Uint8Array) =>
  llava(chat.folder, ["chat", "model", ...args], typed);
const short = ["--max-new-tokens", "4", "--json"];

describe("one answer", () => {
  it("to pictures and a question behind the model, as with options", async () => {
    const [words, options, piped, asked] = await Promise.all([
      ask(["a.png", "What", "is this?", ...short]),
      ask(["--image", "a.png", "--prompt", "What is this?", ...short]),
      readFile(chat.photo).then((bytes) => ask(["-", "What is this?", ...short], bytes)),
      ask(["a.png", "--prompt", "-", ...short], "What is this?\n"),
    ]);
    const { seconds: _, ...answer } = JSON.parse(words!.stdout) as Record<string, unknown>;
    expect(answer).toMatchObject({ completion_tokens: 4, finish_reason: "length" });
    for (const other of [options, piped, asked]) {
      expect([other!.code, other!.stderr]).toEqual([0, ""]);
      expect(JSON.parse(other!.stdout)).toMatchObject(answer);
    }
  });

  it("is held to a schema; several are put in order", async () => {
    const hot = ["--temperature", "1.5", "--json"];
    const [held, many] = await Promise.all([
      ask(["Dogs?", "--schema", "dogs.json", ...hot]),
      ask(["Dogs?", "--n", "3", "--seed", "4", ...hot, "--max-new-tokens", "5"]),
    ]);
    const { text } = JSON.parse(held.stdout) as { text: string };
    expect(typeof (JSON.parse(text) as { dogs: unknown }).dogs).toBe("boolean");
    const best = JSON.parse(many.stdout) as { choices: { logprob: number; text: string }[]; text: string };
    const ranks = best.choices.map(({ logprob }) => logprob);
    expect(ranks).toHaveLength(3);
    expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
    expect(best.text).toBe(best.choices[0]!.text);
    expect(new Set(best.choices.map((each) => each.text)).size).toBe(3);
  });

  it("ends at a stop text, is told with its speed, and differs with a repetition penalty", async () => {
    const whole = await ask(["Hi", "--max-new-tokens", "12", "--stats"]);
    expect(whole.stderr).toMatch(/^12 tokens at [\d.]+ a second, the first after \d+\.\d\d s; prompt \d+ tokens\n$/);
    const stop = whole.stdout.trim().slice(3, 6);
    const [stopped, penalised] = await Promise.all([
      ask(["Hi", "--max-new-tokens", "12", "--stop", stop]),
      ask(["Hi", "--max-new-tokens", "12", "--repetition-penalty", "5"]),
    ]);
    expect(stopped.stdout.trim()).toBe(whole.stdout.slice(0, whole.stdout.indexOf(stop)).trim());
    expect(penalised.stdout).not.toBe(whole.stdout);
  });

  it("that is stopped ends with 130 and what was said", async () => {
    const child = spawn(process.execPath, [main, "chat", "model", "Hi", "--max-new-tokens", "2000"], {
      cwd: chat.folder,
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (said === "") child.kill("SIGINT");
      said += text;
    });
    const code = await new Promise((resolve) => child.on("exit", resolve));
    expect(code).toBe(130);
    expect(said).toMatch(/\S\n$/);
  });

  it("never brings out what a terminal would obey, whatever the model draws", async () => {
    const drawn = ["--temperature", "2", "--max-new-tokens", "400"];
    const [plain, json] = await Promise.all([ask(["Hi", ...drawn]), ask(["Hi", ...drawn, "--json"])]);
    const { text } = JSON.parse(json.stdout) as { text: string };
    // the random model says control characters, or this proves nothing
    // oxlint-disable-next-line no-control-regex
    expect(text).toMatch(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/);
    // oxlint-disable-next-line no-control-regex
    for (const { stdout } of [plain, json]) expect(stdout).not.toMatch(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/);
  });
});

describe("a batch", () => {
  const lines = [
    { id: 7, image: "a.png", prompt: "What?" },
    "{",
    { question_id: "q", image: ["a.png", "b c.png"], text: "Which?", category: "x" },
    { image: "none.png", prompt: "What?" },
    { image: "a.png" },
    { prompt: "word ".repeat(3000) },
    { prompt: "Hi", system: "Be short." },
  ].map((line) => (typeof line === "string" ? line : JSON.stringify(line)));

  it("answers each line in order, and goes on after those that are wrong", async () => {
    const path = join(chat.folder, "batch.jsonl");
    await writeFile(path, `${lines.join("\n")}\n\n`);
    const [{ code, stdout, stderr }, piped, alone] = await Promise.all([
      ask(["--batch", "batch.jsonl", "--max-new-tokens", "3"]),
      llava(
        "/",
        ["chat", chat.model, "--batch", "-", "--images", chat.folder, "--max-new-tokens", "3"],
        lines.join("\n"),
      ),
      ask(["a.png", "What?", "--max-new-tokens", "3", "--json"]),
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error\[BATCH_LINES\]: expected an answer to every line, got 4 of 7 with an error, .*\n$/);
    const told = jsonLines(stdout);
    expect(told.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const codes = told.map(({ error }) => (error as { code: string } | undefined)?.code);
    expect(codes).toEqual([
      undefined,
      "JSON_INVALID",
      undefined,
      "PICTURE_MISSING",
      "BATCH_LINE",
      "PROMPT_TOO_LONG",
      undefined,
    ]);
    expect(told[0]).toMatchObject({ id: 7, image: "a.png", prompt: "What?", completion_tokens: 3 });
    expect(told[0]).toMatchObject({ token_ids: (JSON.parse(alone.stdout) as { token_ids: number[] }).token_ids });
    expect(told[2]).toMatchObject({ question_id: "q", prompt: "Which?", finish_reason: "length" });
    const withoutTime = (each: Record<string, unknown>) => ({ ...each, seconds: 0, error: undefined });
    expect(jsonLines(piped.stdout).map(withoutTime)).toEqual(told.map(withoutTime));
  });

  it("has several answers to each where told", async () => {
    const args = ["--batch", "-", "--n", "2", "--temperature", "1", "--max-new-tokens", "3"];
    const { code, stdout } = await ask(args, `${lines[0]}\n${lines[6]}\n`);
    expect(code).toBe(0);
    expect(jsonLines(stdout).map(({ choices }) => (choices as unknown[]).length)).toEqual([2, 2]);
  });
});

it.each([
  [["a.png", "x", "--batch", "b.jsonl"], "CHAT_OPTIONS"],
  [["--images", "."], "CHAT_OPTIONS"],
  [["--n", "2", "--temperature", "1"], "CHAT_OPTIONS"],
  [["-", "--prompt", "-"], "CHAT_OPTIONS"],
  [["-"], "CHAT_OPTIONS"],
  [["Hi", "--prompt", "Hi"], "CHAT_OPTIONS"],
  [["Hi", "--n", "2"], "SAMPLING_OPTION"],
  [["Hi", "--min-p", "2"], "USAGE"],
  [["Hi", "--schema", "none.json"], "FILE_MISSING"],
  [["Hi", "--schema", "long.json"], "JSON_SCHEMA"],
  [["missing.jpg", "Hi"], "PICTURE_MISSING"],
  [["--batch", "none.jsonl"], "FILE_MISSING"],
])("refuses %j with %s", async (args, code) => {
  const paths = args.map((arg) => (/^(?:long\.json|a\.png)$/.test(arg) ? join(chat.folder, arg) : arg));
  const refused = run("chat", chat.model, ...paths);
  await expect(refused).rejects.toSatisfy(
    (error) => exitCodeOf(error) === 2 && describeFailure(error)!.startsWith(`error[${code}]: `),
  );
});
