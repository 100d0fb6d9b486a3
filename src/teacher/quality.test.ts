// What a run does besides asking: exact numbers, mixtures, second opinions, the trace of drops, the report, the card.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CaptionedPicture } from "../data/sample.ts";
import { readSamples } from "../data/samples.ts";
import { openEndpoint, type Endpoint } from "../endpoint/endpoint.ts";
import { candidatesOf } from "./candidates.ts";
import { renderCard } from "./card.ts";
import { fakeEndpoint, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { readBuiltInKinds, type TeacherKind } from "./kind.ts";
import { openBlindTest, openJudge } from "./opinions.ts";
import { renderTaught } from "./report/page.ts";
import { readTaught } from "./report/read.ts";
import { runTeacher, type TeacherOptions } from "./run.ts";

const [conversation, vqa, reasoning] = (await readBuiltInKinds(["conversation", "vqa", "reasoning"])) as [
  TeacherKind,
  TeacherKind,
  TeacherKind,
];
const pictures = (count: number): CaptionedPicture[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `p${i}`,
    image: `p${i}.jpg`,
    captions: [`Picture ${i} shows a dog`],
    objects: [],
  }));
const source = (count: number) => ({
  count,
  pictures: async function* () {
    yield* pictures(count);
  },
});

let folder = "";
let out = "";
let server: FakeEndpoint;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "quality-"));
  out = join(folder, "x.jsonl");
});
afterEach(async () => {
  server?.close();
  await rm(folder, { recursive: true });
});

const client = (): Endpoint => openEndpoint({ baseUrl: server.base, attempts: 2, backoffMs: 1, concurrency: 4 });
const run = (count: number, more: Partial<TeacherOptions>) =>
  runTeacher(source(count), { kinds: [conversation], endpoint: client(), model: "m", out, ...more });

describe("exact numbers", () => {
  const numberOf = (context: string): number => Number(/\d+/.exec(context)?.[0]);

  test("of rows, whatever is dropped, with few requests more; again the same bytes", async () => {
    server = await fakeEndpoint((context) => (numberOf(context) % 3 === 0 ? "nonsense" : talk(context)));
    const summary = await run(60, { rows: 20, candidates: 40 });
    expect(summary.accepted).toBe(20);
    expect((await readSamples(out)).length).toBe(20);
    expect(server.asked.length).toBeLessThan(40);
    const bytes = await readFile(out);
    const asked = server.asked.length;
    await run(60, { rows: 20, candidates: 40 });
    expect([await readFile(out), server.asked.length]).toEqual([bytes, asked]);
  });

  test("near-duplicates are asked for anew, as long as there are candidates", async () => {
    const long =
      "A dog lies on the grass of a park near a tall tree, and a boy in a red jacket throws a ball to it from far away.";
    server = await fakeEndpoint((context) =>
      numberOf(context) % 2 === 0 ? `Question:\nWhat?\n===\nAnswer:\n${long}` : talk(context),
    );
    const summary = await run(40, { rows: 12 });
    expect(summary.accepted).toBe(12);
    expect(summary.dropped["near-duplicate"]).toBeGreaterThan(5);
    expect((await run(10, { rows: 12, out: join(folder, "y.jsonl") })).accepted).toBe(6);
  });

  test("of candidates are never exceeded, and drawn from the whole source", async () => {
    const drawn: string[] = [];
    for await (const { id } of candidatesOf(pictures(2000), 2000, { kinds: [conversation], model: "m", most: 100 }))
      drawn.push(id);
    expect(drawn.length).toBe(100);
    expect(drawn.some((id) => Number(/\d+/.exec(id)?.[0]) > 1600)).toBe(true);
  });

  test("a mixture holds kinds by weight", async () => {
    const counts: Record<string, number> = {};
    const weights = new Map([
      ["conversation", 3],
      ["reasoning", 1],
    ]);
    const kinds = [conversation, reasoning];
    for await (const { kind } of candidatesOf(pictures(2000), 2000, { kinds, weights, model: "m" }))
      counts[kind.name] = (counts[kind.name] ?? 0) + 1;
    expect(counts["conversation"]).toBe(2000);
    expect(Math.abs((counts["reasoning"] ?? 0) - 667)).toBeLessThan(80);
  });
});

describe("second opinions", () => {
  test("a judge sees what the teacher saw, and what it calls wrong is dropped with a trace", async () => {
    server = await fakeEndpoint((context) => {
      if (!context.startsWith("What is known")) return talk(context);
      if (context.includes("Picture 4 ")) return "I do not know.";
      return `Verdict: ${context.includes("Picture 3 ") ? "wrong\nReason: no dog" : "right\nReason: none"}`;
    });
    const opinions = [{ opinion: await openJudge("j"), endpoint: client() }];
    const summary = await run(6, { opinions });
    expect(summary).toMatchObject({ accepted: 5, dropped: { judge: 1 } });
    expect(server.asked.filter(({ model }) => model === "j")).toHaveLength(6);
    expect(server.asked.find(({ model }) => model === "j")?.context).toMatch(
      /^What is known\nPicture \d shows a dog\.\n\nThe talk\nQuestion: What is there\?\nAnswer: Picture/,
    );
    const judged = (await readSamples(out)).map(({ extra }) => extra["judge"]);
    expect(judged).toEqual(["right", "right", "right", undefined, "right"]);
    const drops = (await readFile(`${out}.dropped.jsonl`, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(drops).toMatchObject([
      { id: "p3-conversation", image: "p3.jpg", reason: "judge", text: expect.any(String) },
    ]);
    await run(6, { opinions });
    expect(server.asked).toHaveLength(12);
  });

  test("a blind test flags what is answered without the picture, and asks without facts", async () => {
    server = await fakeEndpoint((context, _count, _response) =>
      context.startsWith("Picture")
        ? "Question:\nWhich animal is it?\n===\nAnswer:\nDog\n===\nQuestion:\nWhere does it lie?\n===\nAnswer:\nSofa"
        : context.startsWith("Which")
          ? "A dog."
          : "Grass",
    );
    const opinions = [{ opinion: openBlindTest("m"), endpoint: client() }];
    await run(3, { kinds: [vqa], opinions });
    const samples = await readSamples(out);
    expect(samples.map(({ extra }) => extra["blind_right"])).toEqual([0.5, 0.5, 0.5]);
    expect(samples[0]?.conversations[0]?.value).toBe(
      "<image>\nWhich animal is it?\nAnswer the question using a single word or phrase.",
    );
    // the same question is asked once
    expect(server.asked).toHaveLength(5);
  });
});

test("every drop leaves a trace; what an earlier run left is taken away", async () => {
  let broken = true;
  server = await fakeEndpoint((context) =>
    broken && context.includes("Picture 1 ") ? "I'm sorry, I cannot see it." : talk(context),
  );
  const summary = await run(3, {});
  expect(summary.dropped).toEqual({ refusal: 1 });
  const trace = await readFile(`${out}.dropped.jsonl`, "utf8");
  expect(JSON.parse(trace)).toMatchObject({
    kind: "conversation",
    reason: "refusal",
    text: "I'm sorry, I cannot see it.",
  });
  broken = false;
  await run(3, { seed: 7 });
  await expect(readFile(`${out}.dropped.jsonl`)).rejects.toThrow(/ENOENT/);
});

test("the report shows figures, samples and drops, and runs nothing", async () => {
  server = await fakeEndpoint((context) =>
    context.includes("Picture 1 ")
      ? "<script>alert(1)</script>"
      : talk(context).replace("dog", "dog that is likely asleep"),
  );
  await run(4, {});
  const taught = await readTaught(out);
  expect(taught).toMatchObject({ samples: 3, pictures: 3, dropped: 1, ledger: { answers: 4 } });
  const page = await renderTaught(taught, folder);
  expect(page).toContain("&lt;script&gt;");
  expect(page).not.toMatch(/<script|https?:\/\/|<link/);
  expect(page).toContain(`body:has(#state-1:checked) .card:not(.state-1)`);
  for (const text of ["p0-conversation", "layout", "likely asleep"]) expect(page).toContain(text);
});

test("the card tells what is known and says what is not", () => {
  const card = renderCard({
    name: "lab: conversations",
    source: { name: "lab", kind: "coco", pictures: 2306 },
    samples: 1200,
    dropped: { refusal: 3, "absent object": 12 },
    teacher: "m",
    kinds: [{ name: "vqa", version: 1 }],
    seed: 0,
    cost: { dollars: 1.25, promptTokens: 1000, completionTokens: 200 },
    license: "cc-by-4.0",
    date: "2026-11-23",
  });
  expect(card).toMatch(/^---\nlicense: cc-by-4.0\n[\s\S]*1K<n<10K[\s\S]*---\n/);
  expect(card).toContain("| absent object | 12 |");
  expect(card).toContain("Pictures and captions: not told");
  expect(card).toContain("$1.2500 for 1,000 + 200 tokens");
});
