// `llava serve --votes` and `llava eval votes` as processes: what was confirmed is there after a kill, and comes to figures.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ChatFolder, llava, main, makeChatFolder } from "./chat/chat.fixture.ts";
import { run } from "./run.fixture.ts";

let chat: ChatFolder;
beforeAll(async () => {
  chat = await makeChatFolder();
});
afterAll(() => chat.remove());

it("keeps votes that were confirmed through a kill, and adds them up", async () => {
  const words = ["serve", "one=model", "two=model", "--port", "0", "--json", "--votes", "votes.jsonl"];
  const server = spawn(process.execPath, [main, ...words, "--threads", "1"], { cwd: chat.folder });
  const [head] = (await once(server.stdout.setEncoding("utf8"), "data")) as [string];
  const { url } = JSON.parse(head) as { url: string };
  const give = async (vote: string, a: string, b: string, content: string, blind = true): Promise<number> => {
    const messages = [{ role: "user", content }];
    const body = JSON.stringify({ vote, blind, a: { model: a }, b: { model: b }, messages });
    const headers = { "content-type": "application/json" };
    return (await fetch(`${url}/v1/votes`, { method: "POST", headers, body })).status;
  };
  const given = await Promise.all([
    give("a", "one", "two", "First?"),
    give("b", "two", "one", "Second?"),
    give("b", "one", "two", "Third?"),
    give("tie", "one", "two", "Fourth?", false),
  ]);
  server.kill("SIGKILL");
  await once(server, "exit");
  expect(given).toEqual([200, 200, 200, 200]);
  const file = join(chat.folder, "votes.jsonl");
  expect(JSON.parse(await run("eval", "votes", file, "--json"))).toMatchObject({
    votes: 4,
    blind: 3,
    pairs: [{ first: "one", second: "two", n: 4, won: 2, lost: 1, tie: 1, both_bad: 0, score: 0.625 }],
  });
  expect(await run("eval", "votes", file, "--blind")).toMatch(/one +two +3 +2 +1 +0 +0 +66\.7 % /);
});

it.each([
  [["--vote-conversations"], "SERVE_VOTES"],
  [["--votes", "a.png"], "VOTES_FILE"],
])("llava serve refuses %j with %s", async (words, code) => {
  const { code: ended, stderr } = await llava(chat.folder, ["serve", "model", "--port", "0", ...words]);
  expect([ended, stderr.split(":")[0]]).toEqual([2, `error[${code}]`]);
});

it("counts no votes where there are none", async () => {
  await expect(run("eval", "votes", join(chat.folder, "none.jsonl"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  const [time, one] = ["2026-01-02T03:04:05.000Z", { model: "one" }];
  const line = { time, vote: "a", blind: false, a: one, b: one, conversation: "sha256:0" };
  const file = join(chat.folder, "open.jsonl");
  await writeFile(file, `${JSON.stringify(line)}\n`);
  await expect(run("eval", "votes", file, "--blind")).rejects.toMatchObject({ code: "VOTES_NONE" });
  expect(await run("eval", "votes", file)).toContain("1 between two of the same model and settings, in no row");
});
