// The history in real files: kept, cut, private, and never in the way.
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { historyPath, mostLines, openHistory } from "./history.ts";

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "history-"))));
afterEach(() => rm(folder, { recursive: true }));
const never = (error: unknown): never => {
  throw error;
};

it("keeps lines for the next chat, for nobody else to read", async () => {
  const path = historyPath({ XDG_STATE_HOME: folder });
  const first = await openHistory(path, never);
  expect(first.lines).toEqual([]);
  await first.add("What is this?");
  await first.add("And\nthat?");
  const second = await openHistory(path, never);
  expect(second.lines).toEqual(["And that?", "What is this?"]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it("is cut when it has grown, and stays private", async () => {
  const path = join(folder, "h");
  await writeFile(path, Array.from({ length: 2 * mostLines + 1 }, (_, i) => `line ${i}\n`).join(""));
  const { lines } = await openHistory(path, never);
  expect([lines.length, lines[0]]).toEqual([mostLines, `line ${2 * mostLines}`]);
  expect((await readFile(path, "utf8")).split("\n")).toHaveLength(mostLines + 1);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it("lets nothing through that the terminal would obey", async () => {
  const path = join(folder, "h");
  await writeFile(path, "a\u001B[2Jb\n\u009B1mc\n");
  expect((await openHistory(path, never)).lines).toEqual(["\uFFFD1mc", "a\uFFFD[2Jb"]);
});

it("says once that it cannot be kept, and goes on", async () => {
  const told: unknown[] = [];
  await writeFile(join(folder, "file"), "");
  const history = await openHistory(join(folder, "file", "h"), (error) => told.push(error));
  await history.add("a");
  await history.add("b");
  expect(told).toHaveLength(1);
});

it("lies in XDG's folder for state", () => {
  expect(historyPath({ XDG_STATE_HOME: "/s" })).toBe("/s/llava/chat-history");
  for (const given of [{}, { XDG_STATE_HOME: "" }, { XDG_STATE_HOME: "here" }])
    expect(historyPath(given)).toMatch(/\.local\/state\/llava\/chat-history$/);
});
