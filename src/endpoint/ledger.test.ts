import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLedger, type Ledger } from "./ledger.ts";
import type { LedgerRow } from "./ledger-rows.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "ledger-"))));
afterAll(() => rm(folder, { recursive: true }));

const has = (ledger: Ledger, id: string): boolean => ledger.state(keyOf(id)) === "answered";
let made = 0;
const fresh = (): string => join(folder, `${made++}.jsonl`);
const keyOf = (id: string): string => createHash("sha256").update(id).digest("hex").slice(0, 32);
const sent = (id: string, cost = 9): LedgerRow => ({
  t: "sent",
  id,
  key: keyOf(id),
  cost,
  at: "now",
  n: 1,
  to: "u",
  model: "m",
  nonce: `nonce-${id}`,
});
const answer = (id: string, body: string, more: { cost?: number; settles?: true } = {}): LedgerRow => ({
  t: "answer",
  id,
  key: keyOf(id),
  cost: 5,
  at: "now",
  n: 1,
  to: "u",
  ms: 1,
  in: 3,
  out: 2,
  body,
  ...more,
});
const failed = (id: string, cost = 0): LedgerRow => ({
  t: "failed",
  id,
  key: keyOf(id),
  cost,
  at: "now",
  n: 1,
  to: "u",
  ms: 1,
  code: "ENDPOINT_DOWN",
  got: "nothing",
  nonce: `nonce-${id}`,
  ...(cost > 0 ? { doubt: true } : {}),
});

async function written(...rows: LedgerRow[]): Promise<string> {
  const path = fresh();
  const ledger = await openLedger(path);
  await Promise.all(rows.map((row) => ledger.append(row)));
  await ledger.close();
  return path;
}

test("what was acknowledged is read back, whatever the text", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { maxLength: 8 }), async (texts) => {
      const rows = texts.flatMap((text, i) => [sent(String(i)), answer(String(i), text)]);
      const ledger = await openLedger(await written(...rows));
      for (const [i, text] of texts.entries()) expect(ledger.answer(keyOf(String(i)))?.body).toBe(text);
      expect(ledger.doubts()).toEqual([]);
      expect(ledger.answer(keyOf("other"))).toBeUndefined();
      await ledger.close();
    }),
    { numRuns: 8 },
  );
});

test("an answer can be read while others are appended", async () => {
  const ledger = await openLedger(fresh());
  await ledger.append(answer("a", "first"));
  const later = ledger.append(answer("b", "second"));
  expect(ledger.answer(keyOf("a"))?.body).toBe("first");
  await later;
  expect(ledger.answer(keyOf("b"))?.body).toBe("second");
  await ledger.close();
});

test("requests without an outcome are in doubt, with the most that they may have cost", async () => {
  const rows = [sent("a"), answer("a", "x"), sent("b", 70), sent("c"), failed("c"), sent("d"), failed("d", 8)];
  const ledger = await openLedger(await written(...rows));
  expect(ledger.doubts()).toEqual([
    { key: keyOf("d"), id: "d", cost: 8, nonce: "nonce-d" },
    { key: keyOf("b"), id: "b", cost: 70, nonce: "nonce-b" },
  ]);
  expect(["a", "b", "c", "d", "e"].map((id) => ledger.state(keyOf(id)))).toEqual([
    "answered",
    "doubt",
    "again",
    "doubt",
    "unknown",
  ]);
  expect(ledger.totals).toMatchObject({ answers: 1, failed: 2, spent: 5, doubt: 78, promptTokens: 3 });
  await ledger.close();
});

test("what a crash cut off stays in the books after the request was asked again and answered", async () => {
  const ledger = await openLedger(await written(sent("a", 70), sent("a", 60), answer("a", "x")));
  expect([ledger.doubts(), ledger.totals.doubt, ledger.totals.spent]).toEqual([[], 70, 5]);
  await ledger.close();
});

test("doubt goes with the user's word for asking again, and its money when the endpoint answers for it", async () => {
  const again: LedgerRow = { t: "again", key: keyOf("a"), cost: 0, at: "now" };
  const path = await written(sent("a", 70), again);
  const first = await openLedger(path);
  expect([first.state(keyOf("a")), first.totals.doubt]).toEqual(["doubt", 70]);
  await first.append(again);
  expect([first.state(keyOf("a")), first.doubts(), first.totals.doubt]).toEqual(["again", [], 70]);
  expect(first.doubt(keyOf("a"))?.nonce).toBe("nonce-a");
  await first.append(answer("a", "x", { settles: true }));
  expect([first.state(keyOf("a")), first.totals.doubt, first.totals.spent]).toEqual(["answered", 0, 5]);
  await first.close();
});

test("a reader looks without a lock and changes nothing", async () => {
  const path = await written(sent("a"), answer("a", "x"));
  await appendFile(path, "torn");
  const writer = await openLedger(`${path}2`);
  await writer.append(sent("b"));
  const reader = await openLedger(`${path}2`, { readOnly: true });
  expect(reader.state(keyOf("b"))).toBe("doubt");
  await reader.close();
  await writer.close();
  const before = await readFile(path);
  const torn = await openLedger(path, { readOnly: true });
  expect(has(torn, "a")).toBe(true);
  await expect(torn.append(sent("c"))).rejects.toMatchObject({ code: "LEDGER_READ_ONLY" });
  await torn.close();
  expect(await readFile(path)).toEqual(before);
  await expect(openLedger(`${path}3`, { readOnly: true })).rejects.toMatchObject({ code: "FILE_MISSING" });
});

describe("a torn end", () => {
  test("cut anywhere: whole rows stay, the rest is set aside, writing goes on", async () => {
    const whole = await readFile(await written(answer("a", "first ü\u2028"), answer("b", "second")));
    const first = whole.indexOf(10) + 1;
    for (let cut = 0; cut <= whole.length; cut += 9) {
      const path = fresh();
      await writeFile(path, whole.subarray(0, cut));
      const ledger = await openLedger(path);
      expect([has(ledger, "a"), has(ledger, "b")]).toEqual([cut >= first, cut === whole.length]);
      await ledger.append(answer("c", "third"));
      expect(ledger.answer(keyOf("c"))?.body).toBe("third");
      await ledger.close();
      const kept = cut === whole.length ? cut : cut >= first ? first : 0;
      const torn = await readFile(`${path}.torn-${kept}`).catch(() => Buffer.alloc(0));
      expect(torn).toEqual(whole.subarray(kept, cut));
      const again = await openLedger(path);
      expect(has(again, "c")).toBe(true);
      await again.close();
    }
  });

  test("of zeros, as a crash of the machine leaves them", async () => {
    const path = await written(answer("a", "x"));
    await appendFile(path, Buffer.alloc(5000));
    const ledger = await openLedger(path);
    expect(has(ledger, "a")).toBe(true);
    await ledger.close();
    expect((await stat(path)).size).toBeLessThan(300);
  });
});

test("a changed row before whole ones is an error that names its line; nothing is touched", async () => {
  const path = await written(answer("a", "first"), answer("b", "second"), answer("c", "third"));
  const changed = (await readFile(path, "utf8")).replace("second", "secont");
  await writeFile(path, changed);
  await expect(openLedger(path)).rejects.toMatchObject({
    code: "LEDGER_CORRUPT",
    message: expect.stringContaining(`${path}:2`) as string,
  });
  expect(await readFile(path, "utf8")).toBe(changed);
});

test("one process at a time; the lock of a dead one is taken over", async () => {
  const path = fresh();
  const ledger = await openLedger(path);
  await expect(openLedger(path)).rejects.toMatchObject({ code: "LEDGER_BUSY", exitCode: 2 });
  await ledger.close();
  // no system gives out this number
  await writeFile(`${path}.lock`, "4194999\n");
  await (await openLedger(path)).close();
  expect((await readdir(folder)).filter((name) => name.endsWith(".lock"))).toEqual([]);
});

test("no place for the ledger", async () => {
  await expect(openLedger("/nowhere/x.jsonl")).rejects.toMatchObject({ code: "FILE_NOT_WRITABLE" });
});
