// A conversation whose lines come from a pipe: pictures, commands, mistakes that do not end it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ChatFolder, jsonLines, llava, makeChatFolder } from "./chat.fixture.ts";

let chat: ChatFolder;
beforeAll(async () => (chat = await makeChatFolder()));
afterAll(() => chat.remove());
const talk = (lines: readonly string[], ...args: string[]) =>
  llava(chat.folder, ["chat", "model", "--max-new-tokens", "4", ...args], lines.join("\n"));
const promptTokens = (line: Record<string, unknown>): number => line["prompt_tokens"] as number;

it("takes pictures with the question or before it, and remembers", async () => {
  const lines = ["Hi", "'b c.png' Who?", "b\\ c.png", "And this?", "/clear", "Hi"];
  const { code, stdout, stderr } = await talk(lines, "--json");
  expect(code).toBe(0);
  const [hi, who, and, again] = jsonLines(stdout).map(promptTokens);
  expect(who! - hi!).toBeGreaterThan(4);
  expect(and! - who!).toBeGreaterThan(4);
  expect(again).toBe(hi);
  expect(stderr.match(/With the next question: a picture, 24×20\./g)).toHaveLength(1);
});

it("is set, led, retried, saved and loaded", async () => {
  const first = await talk(
    [
      "/set temperature 1.5",
      "/set seed 8",
      "/system Be short.",
      "a.png Who?",
      "/retry",
      "/retry",
      "/stats",
      "/save kept",
      "/set stats on",
      "Sure?",
      "/save",
    ],
    "--json",
  );
  expect(first.stderr).toContain("temperature");
  expect(first.stderr).toMatch(/4 tokens.*; prompt \d+ tokens\nconversation: \d+ of 2048 tokens\n/);
  expect(first.stderr.match(/Saved .*kept\.json/g)).toHaveLength(2);
  expect(first.stderr).toMatch(/\(4 tokens at .*\)/);
  const [who, retried, again, sure] = jsonLines(first.stdout);
  expect([retried, again].map((each) => promptTokens(each!))).toEqual([promptTokens(who!), promptTokens(who!)]);
  expect(new Set([who, retried, again].map((each) => String(each!["token_ids"]))).size).toBe(3);

  const [kept] = JSON.parse(await readFile(join(chat.folder, "kept.json"), "utf8")) as [Record<string, unknown>];
  expect(kept).toMatchObject({ image: "a.png", system: "Be short.", pictures: [1, 0] });
  // what was said last is asked anew after the same conversation: the same answer
  const second = await talk(["/load kept.json", "/retry"], "--json", "--temperature", "1.5", "--seed", "7");
  expect(jsonLines(second.stdout)).toMatchObject([
    { token_ids: sure!["token_ids"], prompt_tokens: sure!["prompt_tokens"] },
  ]);
  expect(second.stderr).toContain("Loaded 2 questions with 1 picture");
});

it("goes on after mistakes, and says what each was", async () => {
  const wrong = [
    "/what",
    "/set hot 1",
    "/set temperature 9",
    "/image none.png",
    "/load none.json",
    "/retry",
    "/save kept.json/x",
    "/none/a.png what?",
    "Hi",
    "/exit",
    "never",
  ];
  const { code, stdout, stderr } = await talk(wrong);
  expect(code).toBe(0);
  expect(stderr).toContain("No command /what");
  const codes = [...stderr.matchAll(/error\[(\w+)\]/g)].map(([, each]) => each);
  expect(codes).toEqual(["CHAT_SETTING", "CHAT_SETTING", "PICTURE_MISSING", "FILE_MISSING", "FILE_NOT_WRITABLE"]);
  expect(stderr).toContain("Nothing was asked yet.");
  // the path that is no file is a question's word; then Hi
  expect(stdout.trim().split("\n").length).toBeGreaterThanOrEqual(2);
});
