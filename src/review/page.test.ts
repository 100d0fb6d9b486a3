// The review page in a real Chromium: decided by keys and buttons, edited, taken back, filtered, written back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { chromiumPath, openBrowser, withoutChromium } from "../../test/browser.ts";
import { openReview, type Review } from "./samples.ts";
import { type ReviewServer, serveReview } from "./server.ts";

const told = chromiumPath === undefined ? `the review page (skipped: ${withoutChromium})` : "the review page";

describe.skipIf(chromiumPath === undefined)(told, () => {
  let folder: string;
  let file: string;
  let review: Review;
  let server: ReviewServer;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "review-page-"));
    file = join(folder, "x.jsonl");
    const turns = (i: number) => [
      { from: "human", value: `<image>\nWhat is <b>number ${i}</b>?` },
      { from: "gpt", value: `Answer ${i}.` },
    ];
    const lines = [0, 1, 2, 3, 4].map((i) =>
      JSON.stringify({ id: `s${i}`, image: "a.png", conversations: turns(i), kind: i % 2 === 0 ? "vqa" : "count" }),
    );
    writeFileSync(file, `${lines.join("\n")}\n`);
    const png = sharp({ create: { width: 320, height: 200, channels: 3, background: "teal" } }).png();
    writeFileSync(join(folder, "a.png"), await png.toBuffer());
    review = await openReview(file);
    server = await serveReview(review, folder);
    page = await browser.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(server.address);
    await at(1);
  });
  afterEach(async () => {
    await page.close();
    await server.close();
    await review.close();
    rmSync(folder, { recursive: true });
    expect(complaints.splice(0)).toEqual([]);
  });

  const at = (place: number): Promise<void> => page.getByText(`${place} of 5`, { exact: true }).waitFor();
  const kept = (): { id: string; review?: string; conversations: { value: string }[] }[] =>
    readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));

  it("is decided with keys; an edit keeps what was typed, and a slip is taken back", async () => {
    await expect(page.locator("#turns").textContent()).resolves.toContain("What is <b>number 0</b>?");
    await page.keyboard.press("a");
    await at(2);
    await page.keyboard.press("r");
    await at(3);
    await page.keyboard.press("z");
    await at(2);
    expect(review.decided).toEqual({ accepted: 1, edited: 0, rejected: 0 });
    await page.keyboard.press("e");
    await page.getByLabel("answer 1").fill("Better: a\nsecond line");
    await page.keyboard.press("Control+Enter");
    await at(3);
    await page.keyboard.press("e");
    await page.getByLabel("answer 1").fill("dropped");
    await page.keyboard.press("Escape");
    await page.getByText("Answer 2.").waitFor();
    await page.keyboard.press("r");
    await at(4);
    await page.getByText("1 accepted · 1 edited · 1 rejected · 2 left").waitFor();
    await page.getByRole("button", { name: "write back and end" }).click();
    await page.getByText("Written back").waitFor();
    await server.done;
    const samples = kept();
    expect(samples.map(({ id, review: decision }) => [id, decision])).toEqual([
      ["s0", "accepted"],
      ["s1", "edited"],
      ["s3", undefined],
      ["s4", undefined],
    ]);
    expect(samples[1]?.conversations[1]?.value).toBe("Better: a\nsecond line");
  });

  it("shows what is chosen: a kind, or what is left", async () => {
    await page.getByLabel("Kind").selectOption("count");
    await at(2);
    await page.keyboard.press("a");
    await at(4);
    await page.keyboard.press("ArrowRight");
    await page.getByText("That was the last one that is shown here.").waitFor();
    await page.keyboard.press("u");
    await page.keyboard.press("ArrowLeft");
    await page.getByText("This is the first one that is shown here.").waitFor();
    await at(4);
  });

  it("says what an edit lacks, and keeps the words that were typed", async () => {
    await page.keyboard.press("e");
    await page.getByLabel("question 1").fill("no picture any more");
    await page.getByRole("button", { name: "keep the changes" }).click();
    await expect.poll(() => page.getByRole("alert").textContent()).toContain("<image>");
    await expect(page.getByLabel("question 1").inputValue()).resolves.toBe("no picture any more");
    expect(review.decided.edited).toBe(0);
    // the browser notes the refusal
    expect(complaints.splice(0)).toEqual([expect.stringContaining("400 (Bad Request)")]);
  });

  it.each(["light", "dark"] as const)(
    "has no fault that axe knows (%s, reading, editing, on a phone)",
    async (scheme) => {
      await page.emulateMedia({ colorScheme: scheme });
      await page.keyboard.press("a");
      await at(2);
      await page.keyboard.press("ArrowLeft");
      await at(1);
      await page.evaluate(axe.source);
      const faults = async (): Promise<unknown> =>
        page.evaluate(async () => {
          const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run();
          return violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
        });
      await expect(faults()).resolves.toEqual([]);
      await page.keyboard.press("e");
      await page.getByLabel("answer 1").waitFor();
      await expect(faults()).resolves.toEqual([]);
      await page.setViewportSize({ width: 390, height: 800 });
      await expect(faults()).resolves.toEqual([]);
      await expect(page.evaluate<number>("document.documentElement.scrollWidth")).resolves.toBeLessThanOrEqual(390);
    },
  );
});
