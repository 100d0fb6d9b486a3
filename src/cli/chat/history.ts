// What was typed in earlier chats, kept in a file that only its owner may read.
import { appendFile, mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { readTextFile, writeFileAtomic } from "../../formats/node.ts";
import { harmless } from "../harmless.ts";

export interface History {
  /** newest first, as the arrow keys walk through them */
  readonly lines: readonly string[];
  /** Keeps a line; never throws: a chat is worth more than its history. */
  add(line: string): Promise<void>;
}

/** lines that the arrow keys reach */
export const mostLines = 1000;
const mostBytes = 2 ** 20;

/** `llava/chat-history` in XDG's folder for state (XDG Base Directory Specification 0.8). */
export function historyPath(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const given = env["XDG_STATE_HOME"] ?? "";
  // relative paths are to be ignored, says the specification
  const state = isAbsolute(given) ? given : join(homedir(), ".local", "state");
  return join(state, "llava", "chat-history");
}

/** Opens the history at `path`; a file that cannot be read or written is told to `onProblem`, once. */
export async function openHistory(path: string, onProblem: (error: unknown) => void): Promise<History> {
  let broken = false;
  const failed = (error: unknown): void => {
    if (!broken) onProblem(error);
    broken = true;
  };
  const kept = await readTextFile(path, { maxBytes: 16 * mostBytes }).catch((error: unknown) => {
    if ((error as { code?: string }).code !== "FILE_MISSING") failed(error);
    return "";
  });
  const lines = kept
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => harmless(line).replaceAll(/\s/g, " "));
  const recent = lines.slice(-mostLines);
  if (kept.length > mostBytes || lines.length > 2 * mostLines)
    await writeFileAtomic(path, recent.map((line) => `${line}\n`).join(""), 0o600).catch(failed);
  return {
    lines: recent.toReversed(),
    add: async (line) => {
      if (broken) return;
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        .then(() => appendFile(path, `${line.replaceAll("\n", " ")}\n`, { mode: 0o600 }))
        .catch(failed);
    },
  };
}
