// A judge on loopback: both orders, repeats, failures apart, replies bought once; LLaVA's reviews by hand-worked sums.
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openEndpoint } from "../../endpoint/endpoint.ts";
import { readPairs } from "./pairs.ts";
import { type Judge, type Judged, readRules } from "./request.ts";
import { runJudge } from "./run.ts";
import { scoreVerdicts } from "./score.ts";
import { readScores, readVerdicts, type Verdict } from "./verdict.ts";

let folder: string;
let server: Server | undefined;
let judge: Judge;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "judge-"));
  judge = { model: "m", rules: await readRules(), temperature: 0.2, maxTokens: 100 };
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => void server?.close());

async function lines(name: string, ...values: unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, values.map((value) => JSON.stringify(value)).join("\n"));
  return path;
}

const pair = (id: string, more: Partial<Judged> = {}): Judged => ({
  id,
  question: `Question ${id}?`,
  category: "conv",
  images: [`${id}.jpg`],
  context: "A dog.",
  hasBoxes: false,
  reference: "REF",
  candidate: "CAND",
  ...more,
});

/** Serves replies made of the user's message; returns the address and what was asked. */
async function serve(
  reply: (content: string, response: ServerResponse) => string | undefined,
): Promise<{ base: string; asked: { content: string; seed: number }[] }> {
  const asked: { content: string; seed: number }[] = [];
  server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const { messages, seed } = JSON.parse(body) as { messages: { content: string }[]; seed: number };
      const content = messages.at(-1)!.content;
      asked.push({ content, seed });
      const text = reply(content, response);
      if (text === undefined) return;
      const choices = [{ finish_reason: "stop", message: { content: text } }];
      const usage = { prompt_tokens: 10, completion_tokens: 5 };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ model: "m-2026", choices, usage }));
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}

const run = (base: string, pairs: readonly Judged[], name: string, more: object = {}) =>
  runJudge(pairs, {
    judge,
    endpoint: openEndpoint({ baseUrl: base, attempts: 1, ...more }),
    out: join(folder, name),
    repeats: 2,
    ...more,
  });

describe("scores in a reply", () => {
  it.each([
    ["8 9\nwords", [8, 9]],
    ["\n 7.5, 10 \nwords", [7.5, 10]],
    ["0 9", [0, 9]],
    ["Output: (1, 7)", undefined],
    ["8 9 7", undefined],
    ["8", undefined],
    ["80 90", undefined],
    ["Assistant 1: 10\nAssistant 2: 6", undefined],
    ["-1 -1", undefined],
    ["", undefined],
  ])("%j gives %j", (text, scores) => expect(readScores(text)).toEqual(scores));
});

it("asks in both orders, again and again, and gives each answer its own score", async () => {
  // it favours what stands first by two points
  const { base, asked } = await serve((content) =>
    /\[Assistant 1\]\nREF/.test(content) ? "10 6\nGood." : "8 8\nGood.",
  );
  const { verdicts } = await run(base, [pair("1"), pair("2", { category: "detail" })], "a.jsonl");
  expect(asked).toHaveLength(8);
  expect(asked.map(({ seed }) => seed).sort()).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
  expect(asked[0]!.content).toMatch(
    /^\[Context\]\nA dog\.\n\n\[Question\]\nQuestion 1\?\n\n\[Assistant 1\]\n(REF|CAND)\n\n\[End of Assistant 1\]\n\n\[Assistant 2\]\n(REF|CAND)\n\n\[End of Assistant 2\]\n\n\[System\]\n/,
  );
  const score = scoreVerdicts(verdicts);
  // reference (10 + 8) / 2 = 9, candidate (6 + 8) / 2 = 7
  expect(score).toMatchObject({ n: 2, judgements: 8, reference: 90, candidate: 70, failed: {}, unjudged: [] });
  expect(score.relative).toBeCloseTo((100 * 7) / 9, 10);
  expect(score.orders).toEqual({ "reference first": 60, "candidate first": 100 });
  expect(score.repeats).toEqual([score.relative, score.relative]);
  expect(score.kinds!["detail"]).toMatchObject({ n: 1, reference: 90 });
  const written = await readVerdicts(join(folder, "a.jsonl"));
  expect(scoreVerdicts(written)).toEqual(score);
  // every verdict can be followed to the request that was paid for
  const ledger = await readFile(join(folder, "a.jsonl.ledger.jsonl"), "utf8");
  for (const { request, text, judge: who } of verdicts) {
    expect([text, who]).toEqual([expect.stringMatching(/Good\.$/), "m-2026"]);
    expect(ledger).toContain(request!);
  }
});

it("keeps failures out of every mean, and says which they were", async () => {
  const { base } = await serve((content, response) => {
    if (content.includes("Question 2?")) return "I cannot judge this.";
    if (!content.includes("Question 3?")) return "5 5";
    response.writeHead(400, { "content-type": "application/json" }).end('{"error":"no"}');
    return undefined;
  });
  const { verdicts } = await run(base, [pair("1"), pair("2"), pair("3")], "b.jsonl");
  const score = scoreVerdicts(verdicts);
  expect(score).toMatchObject({
    n: 1,
    judgements: 4,
    relative: 100,
    reference: 50,
    failed: { NO_SCORES: 4, ENDPOINT_REFUSED: 4 },
    unjudged: ["2", "3"],
  });
});

it("buys each judgement once, and stops where the money ends", async () => {
  const { base, asked } = await serve(() => "5 5");
  // 10 + 5 tokens for nothing in, and a thousand dollars a million out: half a cent an answer, ten cents at most
  const price = { input: 0, output: 1000 };
  const more = { price, concurrency: 1 };
  const poor = await run(base, [pair("1"), pair("2")], "c.jsonl", { ...more, budget: 0.111e9 });
  expect(asked).toHaveLength(3);
  expect(scoreVerdicts(poor.verdicts)).toMatchObject({ judgements: 3, failed: { BUDGET_SPENT: 5 } });
  expect(poor.spent).toBe(15e6);
  await run(base, [pair("1"), pair("2")], "c.jsonl", more);
  const again = await run(base, [pair("1"), pair("2")], "c.jsonl", more);
  expect(asked).toHaveLength(8);
  expect(scoreVerdicts(again.verdicts)).toMatchObject({ judgements: 8, failed: {} });
});

it("ends when the endpoint is not there", async () => {
  await expect(run("http://127.0.0.1:9/v1", [pair("1")], "d.jsonl")).rejects.toMatchObject({ code: "ENDPOINT_DOWN" });
});

it("brings files together by id, boxes among the context", async () => {
  const questions = await lines(
    "questions.jsonl",
    { question_id: 1, image: "b.jpg", text: "What?", category: "conv" },
    { question_id: 0, image: "a.jpg", text: "Who?", category: "detail" },
    { question_id: 2, image: "c.jpg", text: "Why?", category: "complex" },
  );
  const context = await lines(
    "context.jsonl",
    {
      id: "a",
      image: "a.jpg",
      captions: ["One.", "Two. "],
      instances: [{ category: "dog", bbox: [0.1, 0.25, 0.5, 1] }],
    },
    { image: "b.jpg", caption: "A cat." },
    { image: "c.jpg", captions: ["Snow."], instances: [] },
  );
  const references = await lines(
    "ref.jsonl",
    { question_id: 0, text: "r0" },
    { question_id: 1, text: "r1" },
    { question_id: 2, text: "r2" },
  );
  const answers = await lines(
    "ans.jsonl",
    { question_id: 1, text: "c1" },
    { question_id: 0, text: "c0" },
    { question_id: 2, text: "c2" },
  );
  const pairs = await readPairs({ questions, context, references, answers });
  expect(pairs.map(({ id, reference, candidate, hasBoxes }) => [id, reference, candidate, hasBoxes])).toEqual([
    ["1", "r1", "c1", false],
    ["0", "r0", "c0", true],
    ["2", "r2", "c2", true],
  ]);
  expect(pairs[1]!.context).toBe("One.\nTwo.\n\ndog: [0.1, 0.25, 0.5, 1]");
  const fewer = await lines("few.jsonl", { question_id: 0, text: "c0" });
  const lacking = readPairs({ questions, context, references, answers: fewer });
  await expect(lacking).rejects.toMatchObject({ code: "JUDGE_FILES", message: expect.stringContaining("answer 1") });
});

it("takes rules of others by category, those for boxes apart", async () => {
  const rule = (prompt: string) => ({ role: "Assistant", prompt });
  const path = await lines("rule.json", {
    conv: rule("boxes"),
    llava_bench_conv: rule("captions"),
    coding: rule("code"),
  });
  const rules = await readRules(path);
  expect([rules.of("conv", true).prompt, rules.of("conv", false).prompt]).toEqual(["boxes", "captions"]);
  expect(() => rules.of("detail", false)).toThrow(expect.objectContaining({ code: "JUDGE_CATEGORY" }));
  await expect(readRules(await lines("bad.json", { conv: "x" }))).rejects.toMatchObject({ code: "JUDGE_RULES" });
});

it("sums LLaVA's reviews as its own summary does, −1 left out", async () => {
  const path = await lines(
    "review.jsonl",
    { question_id: 1, category: "llava_bench_conv", tuple: [8, 6], content: "8 6" },
    { question_id: 2, category: "llava_bench_conv", tuple: [-1, -1], content: "?" },
    { question_id: 3, category: "llava_bench_detail", tuple: [9, 9.5], content: "9 9.5" },
  );
  const score = scoreVerdicts(await readVerdicts(path));
  // (6 + 9.5) / (8 + 9)
  expect(score.relative).toBeCloseTo((100 * 15.5) / 17, 10);
  expect(score).toMatchObject({ n: 2, failed: { NO_SCORES: 1 }, unjudged: ["2"] });
  expect(Object.keys(score.kinds!)).toEqual(["conv", "detail"]);
  await expect(readVerdicts(await lines("none.jsonl", { question_id: 1 }))).rejects.toMatchObject({
    code: "VERDICT_SHAPE",
  });
});

it("says how far repeats lie apart", () => {
  const verdict = (repeat: number, candidate: number): Verdict => ({
    question_id: "1",
    category: "all",
    images: [],
    order: "reference first",
    repeat,
    scores: { reference: 10, candidate },
  });
  // 60, 70, 80: their sample standard deviation is 10
  const { spread } = scoreVerdicts([verdict(1, 6), verdict(2, 7), verdict(3, 8)]);
  expect(spread!.mean).toBeCloseTo(70, 10);
  expect(spread!.deviation).toBeCloseTo(10, 10);
});
