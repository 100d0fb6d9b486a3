// `llava serve --adapter` as a process: every adapter is a model of its own name.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyAdapter } from "../../test/tiny-adapter.ts";
import { tinyPicture } from "../../test/tiny-llava.ts";
import { type ChatFolder, llava, main, makeChatFolder } from "./chat/chat.fixture.ts";

let chat: ChatFolder;
beforeAll(async () => {
  chat = await makeChatFolder();
  await writeTinyAdapter(join(chat.folder, "red"), chat.model, ["q_proj", "v_proj", "down_proj"]);
});
afterAll(() => chat.remove());

it("serves a model, and the model with each adapter, as llava chat answers with it, and tells what each looked at", async () => {
  const words = ["serve", "plain=model", "--adapter", "red", "--adapter", "again=red", "--port", "0", "--json"];
  const server = spawn(process.execPath, [main, ...words, "--threads", "1"], { cwd: chat.folder });
  const [head] = (await once(server.stdout.setEncoding("utf8"), "data")) as [string];
  const { url, models } = JSON.parse(head) as { url: string; models: string[] };
  expect(models).toEqual(["plain", "red", "again"]);
  const ask = async (model: string): Promise<string> => {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }], max_tokens: 9 });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
    return ((await response.json()) as { choices: [{ message: { content: string } }] }).choices[0].message.content;
  };
  const [plain, red, again, alone] = await Promise.all([
    ask("plain"),
    ask("red"),
    ask("again"),
    llava(chat.folder, ["chat", "model", "Hi", "--adapter", "red", "--max-new-tokens", "9", "--json"]),
  ]);
  expect(red).not.toBe(plain);
  expect(again).toBe(red);
  expect(red).toBe((JSON.parse(alone.stdout) as { text: string }).text);
  const [image, answer] = [await tinyPicture(1), { role: "assistant", content: "A dog." }];
  const look = async (model: string): Promise<number[]> => {
    const user = { role: "user", content: [{ type: "image_url", image_url: { url: image } }] };
    const body = JSON.stringify({ model, messages: [user, answer] });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/attention`, { method: "POST", headers, body });
    const { tokens } = (await response.json()) as { tokens: { weights: number[][][] }[] };
    return tokens.flatMap(({ weights }) => weights.flat(2));
  };
  const [seen, adapted, same] = await Promise.all(["plain", "red", "again"].map(look));
  expect(adapted).toHaveLength(seen!.length);
  expect(adapted).not.toEqual(seen);
  expect(same).toEqual(adapted);
  server.kill("SIGTERM");
  expect(await once(server, "exit")).toEqual([0, null]);
});

it.each([
  [["model", "other", "--adapter", "red"], "SERVE_ADAPTER"],
  [["red=model", "--adapter", "red"], "SERVE_NAMES"],
  [["model", "--adapter", "none"], "ADAPTER_MISSING"],
])("refuses %j with %s", async (words, code) => {
  const { code: ended, stderr } = await llava(chat.folder, ["serve", ...words, "--port", "0"]);
  expect([ended, stderr.split(":")[0]]).toEqual([2, `error[${code}]`]);
});
