// `llava` as a process, beside a folder with the tiny LLaVA and pictures, for the tests of the chat.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tinyPicture, writeTinyLlava } from "../../../test/tiny-llava.ts";

export const main = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChatFolder {
  readonly folder: string;
  /** the tiny LLaVA: random weights, never ends an answer by itself */
  readonly model: string;
  readonly photo: string;
  remove(): Promise<void>;
}

/** `a.png`, `b c.png` and the model. */
export async function makeChatFolder(): Promise<ChatFolder> {
  const folder = await mkdtemp(join(tmpdir(), "chat-"));
  await writeTinyLlava(join(folder, "model"));
  for (const [i, name] of ["a.png", "b c.png"].entries()) {
    const url = await tinyPicture(i + 1);
    await writeFile(join(folder, name), Buffer.from(url.slice(url.indexOf(",") + 1), "base64"));
  }
  const remove = (): Promise<void> => rm(folder, { recursive: true });
  return { folder, model: join(folder, "model"), photo: join(folder, "a.png"), remove };
}

/** Runs `llava` in `cwd` with this on stdin. */
export function llava(cwd: string, args: readonly string[], typed: string | Uint8Array = ""): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd, encoding: "utf8", env: { ...process.env, XDG_STATE_HOME: cwd } } as const;
    const child = execFile(process.execPath, [main, ...args, "--threads", "1"], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
    );
    // one that ends before it has read everything is none of ours
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(typed);
  });
}

/** Every line of JSON that was printed. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
