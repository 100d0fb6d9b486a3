import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openJournal, type JournalRow } from "./journal.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "journal-"))));
afterAll(() => rm(folder, { recursive: true }));

let made = 0;
const fresh = (): string => join(folder, `${made++}.jsonl`);
const intent = (id: string): JournalRow => ({ t: "intent", id, key: `k${id}`, at: "now" });
const answer = (id: string, text: string): JournalRow => ({
  t: "answer",
  id,
  key: `k${id}`,
  at: "now",
  text,
  finish: "stop",
});

async function written(...rows: JournalRow[]): Promise<string> {
  const path = fresh();
  const journal = await openJournal(path);
  await Promise.all(rows.map((row) => journal.append(row)));
  await journal.close();
  return path;
}

test("what was acknowledged is read back, whatever the text", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { maxLength: 8 }), async (texts) => {
      const rows = texts.flatMap((text, i) => [intent(String(i)), answer(String(i), text)]);
      const journal = await openJournal(await written(...rows));
      for (const [i, text] of texts.entries()) expect((await journal.answer(`k${i}`))?.text).toBe(text);
      expect(journal.inDoubt).toEqual([]);
      expect(await journal.answer("other")).toBeUndefined();
      await journal.close();
    }),
    { numRuns: 8 },
  );
});

test("an answer can be read while others are appended", async () => {
  const journal = await openJournal(fresh());
  await journal.append(answer("a", "first"));
  const later = journal.append(answer("b", "second"));
  expect((await journal.answer("ka"))?.text).toBe("first");
  await later;
  expect((await journal.answer("kb"))?.text).toBe("second");
  await journal.close();
});

test("requests without an outcome are in doubt", async () => {
  const failed: JournalRow = { t: "failed", id: "c", key: "kc", at: "now", code: "ENDPOINT_DOWN" };
  const journal = await openJournal(await written(intent("a"), answer("a", "x"), intent("b"), intent("c"), failed));
  expect(journal.inDoubt).toEqual(["b"]);
  expect([journal.has("ka"), journal.has("kb"), journal.has("kc")]).toEqual([true, false, false]);
  await journal.close();
});

describe("a torn end", () => {
  test("cut anywhere: whole rows stay, the rest is set aside, writing goes on", async () => {
    const whole = await readFile(await written(answer("a", "first ü\u2028"), answer("b", "second")));
    const first = whole.indexOf(10) + 1;
    for (let cut = 0; cut <= whole.length; cut += 9) {
      const path = fresh();
      await writeFile(path, whole.subarray(0, cut));
      const journal = await openJournal(path);
      expect([journal.has("ka"), journal.has("kb")]).toEqual([cut >= first, cut === whole.length]);
      await journal.append(answer("c", "third"));
      expect((await journal.answer("kc"))?.text).toBe("third");
      await journal.close();
      const kept = cut === whole.length ? cut : cut >= first ? first : 0;
      const torn = await readFile(`${path}.torn-${kept}`).catch(() => Buffer.alloc(0));
      expect(torn).toEqual(whole.subarray(kept, cut));
      const again = await openJournal(path);
      expect(again.has("kc")).toBe(true);
      await again.close();
    }
  });

  test("of zeros, as a crash of the machine leaves them", async () => {
    const path = await written(answer("a", "x"));
    await appendFile(path, Buffer.alloc(5000));
    const journal = await openJournal(path);
    expect(journal.has("ka")).toBe(true);
    await journal.close();
    expect((await stat(path)).size).toBeLessThan(300);
  });
});

test("a changed row before whole ones is an error that names its line; nothing is touched", async () => {
  const path = await written(answer("a", "first"), answer("b", "second"), answer("c", "third"));
  const changed = (await readFile(path, "utf8")).replace("second", "secont");
  await writeFile(path, changed);
  await expect(openJournal(path)).rejects.toMatchObject({
    code: "JOURNAL_CORRUPT",
    message: expect.stringContaining(`${path}:2`) as string,
  });
  expect(await readFile(path, "utf8")).toBe(changed);
});

test("one process at a time; the lock of a dead one is taken over", async () => {
  const path = fresh();
  const journal = await openJournal(path);
  await expect(openJournal(path)).rejects.toMatchObject({ code: "TEACHER_BUSY", exitCode: 2 });
  await journal.close();
  // no system gives out this number
  await writeFile(`${path}.lock`, "4194999\n");
  await (await openJournal(path)).close();
  expect((await readdir(folder)).filter((name) => name.endsWith(".lock"))).toEqual([]);
});

test("no place for the journal", async () => {
  await expect(openJournal("/nowhere/x.jsonl")).rejects.toMatchObject({ code: "FILE_NOT_WRITABLE" });
});
