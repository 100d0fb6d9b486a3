// The page of a run: nothing that a question or a model says becomes markup, the worst come first.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { userTurn } from "../generate/assistant.ts";
import { writeEvalReport } from "./report.ts";
import { resultOf } from "./result.ts";
import type { Answered } from "./task.ts";
import { pope } from "./tasks/pope.ts";

const hostile = `<script>alert(1)</script>" onload='x' <img src=//e>`;

const answer = (i: number, right: boolean): Answered => ({
  question: {
    id: `${hostile}${i}`,
    images: [`${i}.jpg`],
    turn: userTurn(`${hostile} ${i}`, 1),
    label: "yes",
    kinds: [hostile],
    where: "",
  },
  answer: right ? `Yes ${hostile}` : `no ${hostile}`,
});

it("escapes everything, and shows the worst first, blind beside sighted", async () => {
  const folder = await mkdtemp(join(tmpdir(), "report-"));
  const answered = Array.from({ length: 300 }, (_, i) => answer(i, i % 2 === 0));
  const blind = answered.map(({ question }) => ({ question, answer: `no blind ${hostile}` }));
  const path = join(folder, "report.html");
  const side = (list: readonly Answered[]) => ({ result: resultOf(pope, list), answered: list });
  const input = { task: pope, imagesDir: folder, sighted: side(answered), blind: side(blind) };
  await writeEvalReport(path, input, () => Promise.resolve("data:image/jpeg;base64,AAAA"));
  const page = await readFile(path, "utf8");
  expect(page).not.toMatch(/<script|<img src=\/\/|onload='/);
  expect(page).toContain("default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; img-src data:");
  expect(page.split("&lt;script&gt;").length).toBeGreaterThan(600);
  const verdicts = [...page.matchAll(/<dd class="(right|wrong)">/g)].map(([, verdict]) => verdict);
  expect(verdicts).toHaveLength(200);
  expect(verdicts.indexOf("right")).toBe(150);
  expect(verdicts.lastIndexOf("wrong")).toBe(149);
  expect(page).toContain("no blind");
  expect(page).toMatch(
    /accuracy<\/th>\s*<td class="number">50\.0 %<\/td>\s*<td class="quiet">\d+\.\d to \d+\.\d<\/td>/,
  );
  await rm(folder, { recursive: true });
});
