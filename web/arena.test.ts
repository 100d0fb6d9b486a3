// The arena in a real Chromium: both asked at once, names hidden until the vote, votes by keys, lines in the server's file.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readVotes } from "../src/evaluate/votes/line.ts";
import { openTinyServers, type TinyServers, until } from "../src/serve/tiny-server.fixture.ts";
import { openVotes } from "../src/serve/votes.ts";
import { chromiumPath, openBrowser, withoutChromium } from "../test/browser.ts";
import { axeProblems, Hand, pictureFile, watch } from "./hand.fixture.ts";

const told = chromiumPath === undefined ? `the arena (skipped: ${withoutChromium})` : "the arena";

describe.skipIf(chromiumPath === undefined)(told, () => {
  let tiny: TinyServers;
  let folder: string;
  let file: string;
  let url: string;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let hand: Hand;
  const complaints: string[] = [];
  beforeAll(async () => {
    [tiny, browser, folder] = await Promise.all([openTinyServers(), openBrowser(), mkdtemp(join(tmpdir(), "arena-"))]);
    file = join(folder, "votes.jsonl");
    const votes = await openVotes(file, { conversations: false });
    ({ url } = await tiny.start({ models: [tiny.model, { ...tiny.model, name: "other" }], votes }));
  });
  afterAll(async () => {
    await browser.close();
    await tiny.end();
    await rm(folder, { recursive: true });
  });
  beforeEach(async () => {
    context = await browser.newContext({ reducedMotion: "reduce" });
    page = await context.newPage();
    hand = new Hand(page);
    watch(page, complaints);
    await page.goto(`${url}/#arena`);
    await page.getByRole("region", { name: "Who is asked" }).waitFor();
  });
  afterEach(async () => {
    await context.close();
    expect(complaints.splice(0)).toEqual([]);
  });

  const pane = (letter: "A" | "B"): Locator => page.getByRole("article", { name: `Answer ${letter}` });
  const name = (letter: "A" | "B"): Promise<string | null> => pane(letter).locator("h3 .model").textContent();
  const buttons = (): Locator => page.getByRole("group", { name: "Which answer is better?" });
  const blind = (): Locator => page.getByRole("checkbox", { name: "blind" });
  const done = async (): Promise<void> => {
    await until(async () => (await page.locator('.pane[aria-busy="false"]').count()) === 2);
  };
  /** Settings of one of the two. */
  const settings = async (which: "first" | "second", values: Readonly<Record<string, string>>): Promise<void> => {
    const title = `Settings of the ${which} model`;
    await page.getByRole("button", { name: title }).click();
    for (const [label, value] of Object.entries(values)) await page.getByLabel(label).fill(value);
    await page.getByRole("dialog", { name: title }).getByRole("button", { name: "Done" }).click();
  };
  const short = async (tokens = "4"): Promise<void> => {
    for (const which of ["first", "second"] as const) await settings(which, { "Longest answer": tokens });
  };

  it("hides who answers until a vote by key, and leaves to chance who stands where", async () => {
    await short();
    await hand.attach(await pictureFile(1));
    const orders = new Set<string>();
    for (let round = 0; orders.size < 2 && round < 24; round++) {
      if (round === 0) await hand.question("What is this?");
      else await page.getByRole("button", { name: "Ask both again" }).click();
      await done();
      for (const letter of ["A", "B"] as const) expect(await pane(letter).textContent()).not.toMatch(/tiny|other/);
      // the focus came to the buttons by itself, so that a key is enough
      await until(() => buttons().evaluate((group) => group === document.activeElement));
      await page.keyboard.press("1");
      await page.getByText("Your vote: A is better.").waitFor();
      const names = [await name("A"), await name("B")];
      orders.add(String(names));
      const line = (await readVotes(file)).votes.at(-1)!;
      expect([line.vote, line.blind, line.a.model, line.b.model]).toEqual(["a", true, ...names]);
      expect(line.a.settings).toEqual({ temperature: 0, max_tokens: 4 });
      await until(() => page.evaluate(() => document.activeElement!.id === "ask"));
    }
    expect([...orders].sort()).toEqual(["other,tiny", "tiny,other"]);
    const { votes } = await readVotes(file);
    expect(new Set(votes.map(({ conversation }) => conversation)).size).toBe(1);
    expect(await readFile(file, "utf8")).not.toContain("What is this?");
  });

  it("sets one model against itself under other settings, names told at once where nobody is blind", async () => {
    await short();
    await blind().uncheck();
    await page.getByLabel("Second model", { exact: true }).selectOption("tiny");
    await page.getByText("Both are the same").waitFor();
    await settings("second", { Temperature: "0.7", "System prompt": "Be brief." });
    await page.reload();
    for (const [i, [button, vote]] of Object.entries({
      "B is better": "b",
      Alike: "tie",
      "Both are bad": "both_bad",
    }).entries()) {
      await hand.question(`Question ${i}`);
      await done();
      expect(await name("A")).toBe("tiny, no system prompt, temperature 0");
      expect(await name("B")).toBe("tiny, system prompt of its own, temperature 0.7");
      await buttons().getByRole("button", { name: button }).click();
      await page.getByText("Your vote:").waitFor();
      const line = (await readVotes(file)).votes.at(-1)!;
      expect(line).toMatchObject({ vote, blind: false, b: { settings: { temperature: 0.7 } } });
      expect(line.b.system).toMatch(/^sha256:/);
    }
  });

  it("has both answer at once, stops both, and takes no vote on halves", async () => {
    await short("1900");
    await hand.question("Go on");
    const text = async (letter: "A" | "B"): Promise<number> => (await pane(letter).textContent())!.length;
    await until(async () => (await text("A")) > 30 && (await text("B")) > 30);
    expect(await page.locator('.pane[aria-busy="true"]').count()).toBe(2);
    await page.keyboard.press("Escape");
    await done();
    expect(await page.getByText("Stopped.", { exact: true }).count()).toBe(2);
    expect(await buttons().count()).toBe(0);
  });

  it("has one answer after the other where the server has room for one", async () => {
    const { url: narrow } = await tiny.start({
      models: [tiny.model, { ...tiny.model, name: "other" }],
      limits: { parallel: 1, queue: 0 },
    });
    await page.goto(`${narrow}/#arena`);
    await short("9");
    await hand.question("Both?");
    await done();
    const [a, b] = [pane("A"), pane("B")].map((each) => each.getByText("reached the longest length"));
    expect([await a!.count(), await b!.count()]).toEqual([1, 1]);
    // it was not told where votes go
    expect(await buttons().count()).toBe(0);
    await page.getByText("llava serve … --votes").waitFor();
    await page.getByRole("button", { name: "Show the names" }).click();
    expect([await name("A"), await name("B")].sort()).toEqual(["other", "tiny"]);
    // that it was turned away is told by the browser itself
    expect(complaints.splice(0).filter((line) => !line.includes("429"))).toEqual([]);
  });

  it("says when a vote was not kept, and takes it again", async () => {
    await short();
    await hand.question("Keep it?");
    await done();
    const before = (await readVotes(file)).votes.length;
    await page.route("**/v1/votes", (route) => route.abort());
    await buttons().getByRole("button", { name: "B is better" }).click();
    await page.getByRole("alert").getByText("The vote was not kept.").waitFor();
    expect(await pane("A").textContent()).not.toMatch(/tiny|other/);
    await page.unroute("**/v1/votes");
    await buttons().getByRole("button", { name: "B is better" }).click();
    await page.getByText("Your vote: B is better.").waitFor();
    expect((await readVotes(file)).votes.length).toBe(before + 1);
    expect(complaints.splice(0).filter((line) => !line.includes("ERR_FAILED"))).toEqual([]);
  });

  it("keeps a round as a conversation to go on with", async () => {
    await short("6");
    await settings("second", { Temperature: "1.5" });
    await hand.attach(await pictureFile(2));
    await hand.question("Which?");
    await done();
    expect(await page.getByRole("link", { name: "Which?" }).count()).toBe(0);
    await page.keyboard.press("4");
    await page.getByText("Your vote: B is better.").waitFor();
    const [best, answered] = [await name("B"), await pane("B").locator("p").first().textContent()];
    await page.getByRole("button", { name: "Go on with B" }).click();
    await page.getByRole("article", { name: `Answer of ${best!.split(",")[0]}` }).waitFor();
    expect(await hand.answerText()).toContain(answered!);
    expect(await page.getByRole("group", { name: "Versions of this answer" }).textContent()).toMatch(/[12]\/2/);
    await hand.question("And now?");
    await hand.done();
    // back in the arena, the round is still there, and a question about the same picture is a click away
    await page.getByRole("link", { name: "Arena" }).click();
    await page.getByRole("button", { name: "Ask about the same picture" }).click();
    await page.getByRole("button", { name: "Remove picture-2.png" }).waitFor();
    await page.getByRole("link", { name: "Which?" }).click();
    await page.locator(".asked", { hasText: "And now?" }).waitFor();
  });

  it("shows what both looked at, side by side", async () => {
    await short("6");
    await blind().uncheck();
    await hand.attach(await pictureFile(3));
    await hand.question("Where?");
    await done();
    for (const letter of ["A", "B"] as const) {
      await pane(letter).getByRole("button", { name: "What did it look at?" }).click();
      await pane(letter)
        .getByText(/% of its attention on the picture/)
        .waitFor();
    }
    expect(await page.locator(".pane .view canvas").count()).toBe(2);
  });

  it("has no fault that axe knows: empty, answered, voted, in dialogs, dark, on a phone", async () => {
    expect(await axeProblems(page)).toEqual([]);
    await short();
    await hand.attach(await pictureFile(4));
    await hand.question("What?");
    await done();
    expect(await axeProblems(page)).toEqual([]);
    await page.setViewportSize({ width: 360, height: 640 });
    await page.emulateMedia({ colorScheme: "dark" });
    expect(await axeProblems(page)).toEqual([]);
    await buttons().getByRole("button", { name: "Alike" }).click();
    await page.getByText("Your vote: They are alike.").waitFor();
    expect(await axeProblems(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
    await page.getByRole("button", { name: "Settings of the first model" }).click();
    expect(await axeProblems(page)).toEqual([]);
  });
});
