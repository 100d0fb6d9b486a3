// The page in a real Chromium, served by the real server of a tiny model: ask, stop, branch, look, keep, move.
import { readFile } from "node:fs/promises";
import sharp from "sharp";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { metric, openTinyServers, type TinyServers, until } from "../src/serve/tiny-server.fixture.ts";
import { chromiumPath, openBrowser, withoutChromium } from "../test/browser.ts";
import { axeProblems, Hand, pictureFile, watch } from "./hand.fixture.ts";

const told = chromiumPath === undefined ? `the page (skipped: ${withoutChromium})` : "the page";

describe.skipIf(chromiumPath === undefined)(told, () => {
  let tiny: TinyServers;
  let url: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let ask: Hand;
  const complaints: string[] = [];
  beforeAll(async () => {
    [tiny, browser] = await Promise.all([openTinyServers(), openBrowser()]);
    ({ url } = await tiny.start());
  });
  afterAll(async () => {
    await browser.close();
    await tiny.end();
  });
  beforeEach(async () => {
    // nothing is looked at half-way
    context = await browser.newContext({ permissions: ["camera"], reducedMotion: "reduce" });
    page = await context.newPage();
    ask = new Hand(page);
    watch(page, complaints);
    await page.goto(url);
  });
  afterEach(async () => {
    await context.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  it("answers a question about a picture as its words come, and says what it cost", async () => {
    await ask.settings({ "Longest answer": "40" });
    await ask.attach(await pictureFile(1));
    await ask.question("What is this?");
    await ask.done();
    const answer = await page.getByRole("article", { name: "Answer of tiny" }).textContent();
    expect(answer).toMatch(/\d+ tokens in \(4 of pictures.*40 out at [\d.]+\/s · first word after/);
    expect(answer).toContain("longest length");
    // the same question asked without the page
    const image_url = { url: await page.locator(".shown img").getAttribute("src") };
    const content = [
      { type: "image_url", image_url },
      { type: "text", text: "What is this?" },
    ];
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages: [{ role: "user", content }], max_tokens: 40 }),
    });
    const direct = (await response.json()) as { choices: { message: { content: string } }[] };
    // Markdown's marks aside
    const letters = (all: string): string => all.replace(/[\s!-/:-@[-`{-~]/g, "");
    const said = letters(direct.choices[0]!.message.content);
    expect(said.length).toBeGreaterThan(0);
    expect(letters(await ask.answerText())).toContain(said);
  });

  it("stops an answer at once, and the server with it", async () => {
    await ask.settings({ "Longest answer": "1900" });
    await ask.question("Go on");
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await until(async () => (await ask.answerText()).length > 10);
    await page.keyboard.press("Escape");
    await page.getByText("Stopped.", { exact: true }).first().waitFor();
    await until(async () => (await metric(url, "llava_answers_running")) === 0, 5);
    expect((await ask.answerText()).length).toBeGreaterThan(10);
  });

  it("keeps what came when it is loaded again in mid-answer, and never calls it finished", async () => {
    await ask.settings({ "Longest answer": "1900" });
    await ask.question("Go on");
    await until(async () => (await ask.answerText()).length > 50);
    await page.reload();
    await page.getByText("Cut off:").waitFor();
    expect((await ask.answerText()).length).toBeGreaterThan(10);
    expect(await page.getByRole("article", { name: "You" }).textContent()).toContain("Go on");
    await ask.settings({ "Longest answer": "8" });
    await page.getByRole("button", { name: "Answer again" }).click();
    await ask.done();
    expect(await page.getByRole("group", { name: "Versions of this answer" }).textContent()).toBe("2/2");
  });

  it("keeps branches of questions and answers, and goes back to each", async () => {
    await ask.settings({ "Longest answer": "6" });
    await ask.question("First?");
    await ask.done();
    await page.getByRole("button", { name: "Ask differently" }).click();
    await page.getByRole("textbox", { name: "Question" }).first().fill("Second?");
    await page.getByRole("button", { name: "Ask", exact: true }).first().click();
    await ask.done();
    expect(await page.locator(".asked").allTextContents()).toEqual(["Second?"]);
    await page.getByRole("button", { name: "Earlier question" }).click();
    await page.locator(".asked", { hasText: "First?" }).waitFor();
    await page.getByRole("button", { name: "Later question" }).click();
    await page.locator(".asked", { hasText: "Second?" }).waitFor();
    await page.reload();
    await page.locator(".asked", { hasText: "Second?" }).waitFor();
    expect(await page.getByRole("group", { name: "Versions of this question" }).textContent()).toBe("2/2");
  });

  it("shows what each word looked at", async () => {
    await ask.settings({ "Longest answer": "12" });
    await ask.attach(await pictureFile(2));
    await ask.question("What?");
    await ask.done();
    await page.getByRole("button", { name: "What did it look at?" }).click();
    const words = page.getByRole("group", { name: "Words of the answer" }).getByRole("button");
    await words.first().waitFor();
    expect(await page.getByText(/% of its attention on the picture/).count()).toBe(1);
    const drawn = () => page.locator(".view canvas").evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
    const first = await drawn();
    const { data, info } = await sharp(Buffer.from(first.split(",")[1]!, "base64"))
      .raw()
      .toBuffer({ resolveWithObject: true });
    // as large as what the tower got; nothing is dark where it looked most
    expect([info.width, info.height, info.channels]).toEqual([16, 16, 4]);
    expect(Math.min(...data.filter((_, i) => i % 4 === 3))).toBe(0);
    await page.getByLabel("Layers").selectOption("late");
    await until(async () => (await drawn()) !== first);
    const late = await drawn();
    await page.getByLabel("Heads").selectOption("2");
    await until(async () => (await drawn()) !== late);
    expect(await axeProblems(page)).toEqual([]);
    await page.getByRole("button", { name: "What did it look at?" }).click();
    await words.first().waitFor({ state: "detached" });
    expect((await ask.answerText()).length).toBeGreaterThan(0);
  });

  it("takes pictures that are pasted and dropped, and those of the camera", async () => {
    const bytes = [...(await pictureFile(3)).buffer];
    await page.evaluate((data) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(data)], "pasted.png", { type: "image/png" }));
      const form = document.querySelector("form")!;
      form.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
    }, bytes);
    const pictures = page.getByRole("list", { name: "Pictures to ask about" }).getByRole("listitem");
    await until(async () => (await pictures.count()) === 2);
    await page.getByRole("button", { name: "Take a picture" }).click();
    const take = page.getByRole("button", { name: "Take", exact: true });
    await take.click();
    await until(async () => (await pictures.count()) === 3);
    await page.getByRole("button", { name: "Remove pasted.png" }).first().click();
    expect(await pictures.count()).toBe(2);
    await page.evaluate(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["no picture"], "broken.png", { type: "image/png" }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
    });
    expect(await page.getByRole("alert").textContent()).toContain("broken.png is no picture");
  });

  it("makes a picture of 50 megapixels small before it is sent", async () => {
    const input = { create: { width: 8192, height: 6144, channels: 3 as const, background: "#36a" } };
    const buffer = await sharp(input).png().toBuffer();
    await ask.settings({ "Longest answer": "4" });
    await ask.attach({ name: "large.png", mimeType: "image/png", buffer });
    await ask.question("What?");
    await ask.done();
    const size = await page
      .locator(".shown img")
      .evaluate(({ naturalWidth, naturalHeight }: HTMLImageElement) => [naturalWidth, naturalHeight]);
    expect(size).toEqual([1600, 1200]);
  });

  it("says that the server cannot be reached, keeps what was asked, and goes on when it can", async () => {
    await ask.settings({ "Longest answer": "4" });
    await context.setOffline(true);
    await ask.question("Anybody there?");
    await page.getByRole("alert").getByText("cannot be reached").waitFor();
    expect(await page.locator(".asked").allTextContents()).toEqual(["Anybody there?"]);
    await context.setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Answer again" }).click();
    await ask.done();
    expect((await ask.answerText()).length).toBeGreaterThan(0);
    // the browser's own word about the line
    expect(complaints.splice(0).filter((line) => !line.includes("ERR_INTERNET_DISCONNECTED"))).toEqual([]);
  });

  it("moves conversations as a file, and refuses other files", async () => {
    await ask.settings({ "Longest answer": "5" });
    await ask.attach(await pictureFile(4));
    await ask.question("Keep me?");
    await ask.done();
    const before = await ask.answerText();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export" }).click(),
    ]);
    const content = await readFile(await download.path(), "utf8");
    expect(JSON.parse(content)).toMatchObject({ version: 1, conversations: [{ title: "Keep me?" }] });
    page.once("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Delete Keep me?" }).click();
    await until(async () => (await page.getByRole("link", { name: "Keep me?" }).count()) === 0);
    const file = page.getByLabel("File of conversations");
    await file.setInputFiles({ name: "a.json", mimeType: "application/json", buffer: Buffer.from("{}") });
    expect(await page.getByRole("alert").textContent()).toContain("no file of conversations");
    await file.setInputFiles({ name: "b.json", mimeType: "application/json", buffer: Buffer.from(content) });
    await page.getByRole("link", { name: "Keep me?" }).click();
    await until(async () => (await ask.answerText()) === before);
    expect(await page.locator(".shown img").count()).toBe(1);
  });

  it("has no fault that axe knows: empty, answered, in dialogs, dark, on a phone", async () => {
    expect(await axeProblems(page)).toEqual([]);
    await ask.settings({ "Longest answer": "9", Theme: "dark" });
    await ask.attach(await pictureFile(5));
    await ask.question("What?");
    await ask.done();
    expect(await axeProblems(page)).toEqual([]);
    await page.getByRole("button", { name: "Settings" }).click();
    expect(await axeProblems(page)).toEqual([]);
    await page.getByRole("button", { name: "Done" }).click();
    await page.setViewportSize({ width: 360, height: 640 });
    expect(await axeProblems(page)).toEqual([]);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(wide).toBe(false);
    await page.getByRole("button", { name: "Conversations" }).click();
    expect(await axeProblems(page)).toEqual([]);
    // the keys are where the eyes are, and go back
    const focused = () => page.evaluate(() => document.activeElement!.textContent + document.activeElement!.id);
    expect(await focused()).toContain("New conversation");
    await page.keyboard.press("Escape");
    await until(async () => (await focused()) === "menu");
  });

  it("asks for a key where the server wants one, and goes on with it", async () => {
    const { url: locked } = await tiny.start({ keys: ["sk-right"] });
    await page.goto(locked);
    await page.getByLabel("API key", { exact: true }).fill("sk-wrong");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("does not know this key").waitFor();
    expect(await axeProblems(page)).toEqual([]);
    await page.getByLabel("API key", { exact: true }).fill("sk-right");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await ask.settings({ "Longest answer": "4" });
    await ask.question("Hello");
    await ask.done();
    expect((await ask.answerText()).length).toBeGreaterThan(0);
    // refusals are told in the console by the browser itself
    expect(complaints.splice(0).filter((line) => !line.includes("401"))).toEqual([]);
  });
});
