// The chat in a real terminal: typed, dropped, pasted, stopped and left, as tmux shows it.
import { execFileSync, spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ChatFolder, main, makeChatFolder } from "./chat.fixture.ts";

const socket = `llava-test-${process.pid}`;
const tmux = (...args: string[]): string =>
  execFileSync("tmux", ["-L", socket, "-f", "/dev/null", ...args], { encoding: "utf8" });
const present = spawnSync("tmux", ["-V"]).status === 0;
let chat: ChatFolder;

function start(...args: string[]): void {
  const command = [process.execPath, main, "chat", "model", ...args].map((each) => `'${each}'`).join(" ");
  const env = ["-e", `XDG_STATE_HOME=${chat.folder}`, "-e", "COLORTERM=truecolor"];
  const size = ["-x", "72", "-y", "30"];
  tmux(
    "new-session",
    "-d",
    ...size,
    "-c",
    chat.folder,
    ...env,
    `unset NO_COLOR; ${command}; echo ended with $?; sleep 60`,
  );
}

const screen = (): string => tmux("capture-pane", "-p");
const type = (text: string): string => tmux("send-keys", "-l", text);
const press = (...keys: string[]): string => tmux("send-keys", ...keys);

async function until(shown: RegExp): Promise<string> {
  const end = performance.now() + 20_000;
  for (;;) {
    const text = screen();
    if (shown.test(text)) return text;
    if (performance.now() > end) throw new Error(`${String(shown)} does not come:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

describe.skipIf(!present)("the chat in a terminal (needs tmux)", () => {
  beforeAll(async () => (chat = await makeChatFolder()));
  afterAll(() => chat.remove());
  afterEach(() => void spawnSync("tmux", ["-L", socket, "kill-server"]));

  it("shows a dropped file, answers, stops at Ctrl-C, and leaves at the next", async () => {
    start("--max-new-tokens", "1900");
    await until(/^>$/m);
    type(`'${join(chat.folder, "b c.png")}' `);
    press("Enter");
    expect(await until(/a picture, 24×20\./)).toMatch(/▀{24}/);
    type("Who?");
    press("Enter");
    await new Promise((resolve) => setTimeout(resolve, 400));
    type("typed ahead");
    press("C-c");
    expect(await until(/\(stopped\)[^>]*> typed ahead/)).not.toContain("^C");
    await new Promise((resolve) => setTimeout(resolve, 350));
    press("C-c");
    await until(/Ctrl-C again/);
    await new Promise((resolve) => setTimeout(resolve, 350));
    press("C-c");
    await until(/ended with 130/);
  });

  it("brings back what was asked, completes commands, and takes pasted lines as one", async () => {
    start("--max-new-tokens", "3");
    await until(/^>$/m);
    await writeFile(join(chat.folder, "clip"), "first line\nsecond line\n");
    tmux("load-buffer", join(chat.folder, "clip"));
    tmux("paste-buffer", "-p");
    await until(/> first line⏎second line/);
    press("Enter");
    await until(/\(cut after 3 tokens\)\s+>$/m);
    press("C-d");
    await until(/ended with 0/);
    tmux("kill-server");
    expect(await readFile(join(chat.folder, "llava", "chat-history"), "utf8")).toContain("first line⏎second line\n");

    start("--max-new-tokens", "3", "--plain");
    await until(/^>$/m);
    press("Up");
    await until(/> first line⏎second line/);
    press("C-u");
    type("/cl");
    press("Tab");
    await until(/> \/clear/);
    press("Enter");
    await until(/Forgotten/);
    press("C-d");
    await until(/ended with 0/);
  });

  it("is told by SIGTERM to leave, and leaves the terminal as it was", async () => {
    start("--max-new-tokens", "1900");
    await until(/^>$/m);
    const shell = tmux("display-message", "-p", "#{pane_pid}").trim();
    process.kill(Number(execFileSync("pgrep", ["-P", shell], { encoding: "utf8" })), "SIGTERM");
    await until(/ended with 130/);
    expect(tmux("display-message", "-p", "#{cursor_flag}").trim()).toBe("1");
  });
});
