import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CaptionedPicture } from "../data/sample.ts";
import { readSamples } from "../data/samples.ts";
import { openEndpoint, type Endpoint } from "../endpoint/endpoint.ts";
import { fakeEndpoint, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { readBuiltInKinds } from "./kind.ts";
import { runTeacher, type TeacherOptions } from "./run.ts";

const [conversation, detail, reasoning] = await readBuiltInKinds();
if (conversation === undefined || detail === undefined || reasoning === undefined) throw new Error("kinds are missing");

const pictures: CaptionedPicture[] = Array.from({ length: 12 }, (_, i) => ({
  id: `p${i}`,
  image: `p${i}.jpg`,
  captions: [`Picture ${i} shows a dog`],
  objects: [],
}));

let folder = "";
let out = "";
let server: FakeEndpoint | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "teacher-"));
  out = join(folder, "instruct.json");
});
afterEach(async () => {
  server?.close();
  await rm(folder, { recursive: true });
});

function client(): Endpoint {
  return openEndpoint({ baseUrl: server?.base ?? "", attempts: 2, backoffMs: 1, timeoutMs: 1000, concurrency: 4 });
}

function options(more: Partial<TeacherOptions> = {}): TeacherOptions {
  return { kinds: [conversation as NonNullable<typeof conversation>], endpoint: client(), model: "m", out, ...more };
}

describe("a run", () => {
  test("writes the samples in the order of the source, with all that traces them", async () => {
    // later requests are answered sooner
    server = await fakeEndpoint((context, count, response) => {
      setTimeout(
        () => response.end(JSON.stringify({ choices: [{ message: { content: talk(context) } }] })),
        60 - 4 * count,
      );
      return undefined;
    });
    const summary = await runTeacher(pictures, options());
    const samples = await readSamples(out);
    expect(samples.map(({ id }) => id)).toEqual(pictures.map(({ id }) => `${id}-conversation`));
    expect(samples[3]).toMatchObject({
      images: ["p3.jpg"],
      conversations: [
        { from: "human", value: "<image>\nWhat is there?" },
        { from: "gpt", value: "Picture 3 shows a dog." },
      ],
      extra: { teacher: "m", kind: "conversation", prompt_version: 1 },
    });
    expect(summary).toMatchObject({ accepted: 12, dropped: {}, failed: {}, inDoubt: [], promptTokens: 0 });
    expect((await readdir(folder)).sort()).toEqual(["instruct.json", "instruct.json.ledger.jsonl"]);
  });

  test("again: buys nothing and writes the same bytes; another prompt: only its kind is bought", async () => {
    server = await fakeEndpoint((context) => talk(context));
    await runTeacher(pictures, options());
    const first = await readFile(out);
    const states: number[] = [];
    await runTeacher(pictures, options({ onProgress: ({ resumed }) => void states.push(resumed) }));
    expect(server.asked).toHaveLength(12);
    expect(await readFile(out)).toEqual(first);
    const kinds = [conversation, { ...reasoning, system: "Other." }] as TeacherOptions["kinds"];
    const summary = await runTeacher(pictures, options({ kinds }));
    expect(server.asked).toHaveLength(24);
    expect(summary.accepted).toBe(24);
    expect(summary.promptTokens).toBe(240);
  });

  test("equal requests are bought once", async () => {
    server = await fakeEndpoint((context) => talk(context), 5);
    const twins = pictures.map((picture) => ({ ...picture, captions: ["A dog"] }));
    expect((await runTeacher(twins, options())).accepted).toBe(12);
    expect(server.asked).toHaveLength(1);
  });

  test("a detail is asked for in varied words", async () => {
    server = await fakeEndpoint((context) => `${context.split("\n")[0]} It runs.`);
    await runTeacher(pictures, options({ kinds: [detail as NonNullable<typeof detail>], seed: 3 }));
    const questions = (await readSamples(out)).map(({ conversations }) =>
      conversations[0]?.value.replace("<image>\n", ""),
    );
    expect(new Set(questions).size).toBeGreaterThan(3);
    for (const question of questions) expect(detail?.questions).toContain(question);
  });

  test("drops are counted by reason and reported as they come", async () => {
    const replies = [
      "",
      "no form",
      "I'm sorry, I cannot see the image.",
      "ERROR: full",
      "Question:\na\n===\nAnswer:\nThe caption says so.",
    ];
    server = await fakeEndpoint((context) => replies[Number(/\d+/.exec(context)?.[0])] ?? talk(context));
    let last = {};
    const source = [...pictures, { id: "x", image: "x.jpg", captions: [] }];
    const summary = await runTeacher(source, options({ onProgress: (progress) => void (last = progress) }));
    const dropped = { empty: 1, layout: 1, refusal: 1, "error text": 1, "source leak": 1, "no usable caption": 1 };
    expect(summary).toMatchObject({ accepted: 7, dropped });
    expect(last).toMatchObject({ accepted: 7, dropped, failed: {}, promptTokens: 120, completionTokens: 60 });
    expect(await readSamples(out)).toHaveLength(7);
  });

  test("progress tells the time left where the source tells its length", async () => {
    server = await fakeEndpoint((context) => talk(context));
    const seen: (number | undefined)[] = [];
    const source = {
      count: 12,
      pictures: async function* () {
        yield* pictures;
      },
    };
    await runTeacher(source, options({ onProgress: ({ total, secondsLeft }) => void seen.push(total, secondsLeft) }));
    expect(seen[0]).toBe(12);
    expect(seen.at(-1)).toBe(0);
  });
});

describe("failures", () => {
  test("of single requests are counted, the rest is written; the next run asks only for them", async () => {
    let broken = true;
    server = await fakeEndpoint((context, _count, response) => {
      if (!broken || !/Picture [35] /.test(context)) return talk(context);
      response.writeHead(400).end('{"error":{"message":"too long"}}');
      return undefined;
    });
    const summary = await runTeacher(pictures, options());
    expect(summary).toMatchObject({ accepted: 10, failed: { ENDPOINT_REFUSED: 2 } });
    broken = false;
    server.asked.length = 0;
    expect((await runTeacher(pictures, options())).accepted).toBe(12);
    expect(server.asked).toHaveLength(2);
  });

  test.each([1, 12])("%i requests that fail every time are no reason to withhold the rest", async (bad) => {
    const many = Array.from({ length: bad + 5 }, (_, i) => ({
      ...(pictures[0] as CaptionedPicture),
      id: `${i}`,
      captions: [`Dog number ${i}`],
    }));
    server = await fakeEndpoint((context, _count, response) => {
      if (Number(/\d+/.exec(context)?.[0]) >= bad) return talk(context);
      response.writeHead(400).end('{"error":{"message":"too long"}}');
      return undefined;
    });
    // the good ones first, so that the first run gets as far as them
    await runTeacher([...many].reverse(), options()).catch(() => undefined);
    const first = server.asked.length;
    const summary = await runTeacher(many, options());
    expect(summary.accepted).toBe(5);
    expect(Object.keys(summary.failed)).toEqual(["ENDPOINT_REFUSED"]);
    expect(server.asked.length).toBeGreaterThan(first);
    expect(await readSamples(out)).toHaveLength(5);
  });

  test.each([
    [401, "ENDPOINT_AUTH", 5],
    [429, "ENDPOINT_RATE", 10],
    [500, "ENDPOINT_SERVER", 30],
    [418, "ENDPOINT_REFUSED", 15],
  ])("status %i for everything ends the run early with one error, and no output", async (status, code, most) => {
    server = await fakeEndpoint((_context, _count, response) => void response.writeHead(status).end("no"));
    await expect(runTeacher(pictures, options())).rejects.toMatchObject({ code, exitCode: 2 });
    expect(server.asked.length).toBeLessThanOrEqual(most);
    expect(await readdir(folder)).toEqual(["instruct.json.ledger.jsonl"]);
  });

  test("an endpoint that dies in the middle: what it answered stays, what broke off is asked again where it is free", async () => {
    const many = Array.from({ length: 24 }, (_, i) => ({
      ...(pictures[0] as CaptionedPicture),
      id: `${i}`,
      captions: [`Dog ${i}`],
    }));
    server = await fakeEndpoint((context, count, response) => {
      if (count <= 6) return talk(context);
      response.destroy();
      return undefined;
    });
    await expect(runTeacher(many, options())).rejects.toMatchObject({ code: "ENDPOINT_BROKEN" });
    server.close();
    server = await fakeEndpoint((context) => talk(context));
    expect((await runTeacher(many, options())).accepted).toBe(24);
    expect(server.asked).toHaveLength(18);
  });

  test("an interrupt lets what is under way finish and keeps it", async () => {
    server = await fakeEndpoint((context) => talk(context), 30);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(new Error("enough"));
    await expect(runTeacher(pictures, options({ signal: controller.signal, onProgress }))).rejects.toThrow("enough");
    const before = server.asked.length;
    expect(before).toBeLessThan(12);
    const summary = await runTeacher(pictures, options());
    expect(summary).toMatchObject({ accepted: 12, inDoubt: [] });
    expect(server.asked).toHaveLength(12);
  });

  test("no pictures", async () => {
    server = await fakeEndpoint((context) => talk(context));
    await expect(runTeacher([], options())).rejects.toMatchObject({ code: "TEACHER_EMPTY" });
  });
});
