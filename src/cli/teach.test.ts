import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { exitCodeOf } from "./failure.ts";
import { createProgram } from "./program.ts";
import { run } from "./run.fixture.ts";

let folder: string;
let source: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "teach-"));
  source = join(folder, "photos");
  mkdirSync(source);
  const names = ["dog", "cat", "car", "bus", "tree", "boat", "horse", "bench"];
  const picture = await sharp({ create: { width: 32, height: 32, channels: 3, background: "red" } })
    .jpeg()
    .toBuffer();
  const rows = names.map((name) => `${name}.jpg,A ${name} near a road.`);
  for (const name of names) writeFileSync(join(source, `${name}.jpg`), picture);
  writeFileSync(join(source, "captions.csv"), `file_name,caption\n${rows.join("\n")}\n`);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const readJson = (name: string): { image: string; conversations: { value: string }[] }[] =>
  JSON.parse(readFileSync(at(name), "utf8"));

async function failure(...args: string[]): Promise<unknown> {
  return run(...args).then(
    () => expect.fail("nothing was refused"),
    (error: unknown) => error,
  );
}

describe("llava teach", () => {
  it("writes conversations and captions, and keeps the last pictures out of both", async () => {
    const said = await run(
      "teach",
      source,
      "--out",
      at("d/instruct.json"),
      "--align",
      at("d/captions.json"),
      "--keep-out",
      "3",
    );
    const images = (name: string): Set<string> => new Set(readJson(name).map(({ image }) => image));
    expect(images("d/captions.json")).toEqual(new Set(["dog.jpg", "cat.jpg", "car.jpg", "bus.jpg", "tree.jpg"]));
    for (const image of images("d/instruct.json")) expect(images("d/captions.json")).toContain(image);
    expect(said).toContain(`images folder: ${source}`);
    expect(readJson("d/captions.json")[0]!.conversations).toEqual([
      { from: "human", value: "<image>" },
      { from: "gpt", value: "A dog near a road." },
    ]);
  });

  it("writes the same twice, and something else with another seed", async () => {
    const file = async (name: string, ...args: string[]): Promise<string> => {
      await run("teach", source, "--out", at(name), ...args);
      return readFileSync(at(name), "utf8");
    };
    expect(await file("a.json")).toBe(await file("b.json"));
    expect(await file("c.json", "--seed", "1")).not.toBe(await file("d.json"));
  });

  it("takes the kinds that it is told, and no other", async () => {
    const said = await run("teach", source, "--out", at("a.json"), "--kinds", "caption=1", "--json");
    expect(JSON.parse(said)).toMatchObject({ samples: 8, pictures: 8, kept_out: 0, images: source });
  });

  it.each([
    [["--kinds", "captions"], "FACTS_MIXTURE"],
    [["--kinds", "caption=lots"], "FACTS_MIXTURE"],
    [["--keep-out", "8"], "SPLIT_SIZE"],
    [["--questions", "q"], "QUESTIONS_KEEP_OUT"],
    [["--align", "OUT"], "OUT_IS_SOURCE"],
    [["--teacher", "http://localhost:1/v1"], "TEACHER_MODEL"],
    [["--teacher", "localhost", "--model", "m"], "ENDPOINT_ADDRESS"],
    [["--teacher", "http://localhost:1/v1", "--model", "m", "--key-env", "NO_SUCH_VARIABLE"], "ENDPOINT_KEY"],
    [["--images", "/no/such/folder"], "IMAGES_FOLDER"],
    [["--turns", "0"], "commander.invalidArgument"],
  ])("refuses %j, and writes nothing", async (args, code) => {
    const error = await failure(
      "teach",
      source,
      "--out",
      at("a.json"),
      ...args.map((arg) => (arg === "OUT" ? at("a.json") : arg)),
    );
    expect(error).toMatchObject({ code });
    expect(exitCodeOf(error)).toBe(2);
    expect(existsSync(at("a.json"))).toBe(false);
  });

  it("asks an endpoint, and does not ask again for what it has", async () => {
    let asked = 0;
    const server = createServer((request, response) => {
      request.resume().on("end", () => {
        asked++;
        const content =
          "A dog stands near a grey road under a clear sky. Behind it a low fence runs along a green field of grass.";
        const usage = { prompt_tokens: 10, completion_tokens: 20 };
        response.setHeader("content-type", "application/json");
        response.end(
          JSON.stringify({
            model: "m",
            choices: [{ message: { role: "assistant", content }, finish_reason: "stop" }],
            usage,
          }),
        );
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const teacher = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    try {
      const args = [
        "teach",
        source,
        "--out",
        at("e.json"),
        "--teacher",
        teacher,
        "--model",
        "m",
        "--kinds",
        "detail",
        "--json",
      ];
      const first = JSON.parse(await run(...args)) as { samples: number; completion_tokens: number };
      expect(first.samples).toBeGreaterThan(0);
      expect(asked).toBe(8);
      expect(JSON.parse(await run(...args))).toEqual(first);
      expect(asked).toBe(8);
      expect(readJson("e.json")).toHaveLength(first.samples);
    } finally {
      server.close();
    }
  });
});

describe("llava teach at an endpoint that charges", () => {
  /** Answers with `content`; the first request for the dog hangs up after it was charged. */
  async function teacher(): Promise<{ url: string; asked(): number; close(): void }> {
    let asked = 0;
    let broken = false;
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        asked++;
        if (body.includes("A dog near") && !broken) {
          broken = true;
          return response.destroy();
        }
        const content = "It stands near a grey road under a clear sky, and behind it runs a low fence.";
        const usage = { prompt_tokens: 1000, completion_tokens: 20 };
        response.end(JSON.stringify({ choices: [{ message: { content }, finish_reason: "stop" }], usage }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    return { url, asked: () => asked, close: () => server.close() };
  }

  it("plans, buys, lists what is in doubt, asks again when told to, and exports every attempt", async () => {
    const server = await teacher();
    const ask = ["teach", source, "--out", at("e.json"), "--teacher", server.url, "--model", "m", "--kinds", "detail"];
    const args = [...ask, "--price", "1/10", "--json"];
    try {
      const plan = JSON.parse(await run(...args, "--dry-run")) as { at_most: { dollars: number } };
      expect(plan).toMatchObject({ requests: 8, to_ask: 8, answered: 0, in_doubt: 0, measured_answers: 0, spent: 0 });
      expect([server.asked(), existsSync(at("e.json.ledger.jsonl"))]).toEqual([0, false]);
      expect(await failure(...args, "--budget", String(plan.at_most.dollars / 100))).toMatchObject({
        code: "BUDGET_SPENT",
      });
      expect(server.asked()).toBe(0);

      const bought = JSON.parse(await run(...args, "--budget", String(plan.at_most.dollars))) as { spent: number };
      expect(bought).toMatchObject({ samples: 7, failed: { ENDPOINT_BROKEN: 1 }, in_doubt: 1, budget_spent: false });
      expect(bought.spent).toBeCloseTo(7 * 0.0012, 9);
      expect(JSON.parse(await run("teach", "status", at("e.json"), "--json"))).toMatchObject({
        answers: 7,
        failed: { ENDPOINT_BROKEN: 1 },
        in_doubt: 1,
      });
      expect(await run("teach", "status", at("e.json"))).toMatch(/in doubt +1 +perhaps charged.*\nllava teach retry/);
      expect(JSON.parse(await run(...args, "--dry-run"))).toMatchObject({ to_ask: 0, answered: 7, in_doubt: 1 });
      await run(...args);
      expect(server.asked()).toBe(8);

      expect(await run("teach", "retry", at("e.json"))).toContain("asks again for 1 requests");
      expect(JSON.parse(await run(...args))).toMatchObject({ samples: 8, in_doubt: 0 });
      expect(server.asked()).toBe(9);
      expect(await run("teach", "retry", at("e.json"))).toContain("no request is in doubt");
      await run("teach", "export", at("e.json"), at("attempts.csv"));
      const lines = readFileSync(at("attempts.csv"), "utf8").trim().split("\n");
      expect(lines[0]).toMatch(/^at,id,key,endpoint,attempt,outcome,in_doubt/);
      expect(lines.filter((line) => line.includes(",ENDPOINT_BROKEN,true,"))).toHaveLength(1);
      expect(lines).toHaveLength(1 + 9);
    } finally {
      server.close();
    }
  });

  it("needs a ledger to look at, and a price to ask", async () => {
    expect(await failure("teach", "status", at("none.json"))).toMatchObject({ code: "FILE_MISSING" });
    expect(await failure("teach", "retry", at("none.json"))).toMatchObject({ code: "FILE_MISSING" });
    const remote = ["teach", source, "--out", at("e.json"), "--teacher", "https://x.example/v1", "--model", "m"];
    expect(await failure(...remote)).toMatchObject({ code: "PRICE_UNKNOWN" });
    expect(await failure("teach", source)).toMatchObject({ code: "commander.missingMandatoryOptionValue" });
  });
});

describe("llava data", () => {
  beforeEach(() => run("data", "convert", source, "--out", at("captions.json")));

  it("convert keeps samples as they are, as a list or as lines", async () => {
    await run("data", "convert", at("captions.json"), "--out", at("captions.jsonl"));
    await run("data", "convert", at("captions.jsonl"), "--out", at("again.json"));
    expect(readJson("again.json")).toEqual(readJson("captions.json"));
    expect(readFileSync(at("captions.jsonl"), "utf8").split("\n")).toHaveLength(9);
    expect(await failure("data", "convert", at("captions.json"), "--out", at("captions.json"))).toMatchObject({
      code: "OUT_IS_SOURCE",
    });
  });

  it("check sums up what is right", async () => {
    const found = JSON.parse(await run("data", "check", at("captions.json"), "--images", source, "--json")) as unknown;
    expect(found).toMatchObject({
      samples: 8,
      pictures: 8,
      answers: { sentence: 8 },
      problems: { total: 0, first: [] },
    });
    expect(await run("data", "check", at("captions.json"), "--images", source)).toMatch(/pictures +8, all opened\n/);
  });

  it("check tells every problem, and fails", async () => {
    rmSync(join(source, "dog.jpg"));
    writeFileSync(join(source, "cat.jpg"), "not a picture");
    const output = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const error: unknown = await (
      await createProgram()
    )
      .parseAsync(["data", "check", at("captions.json"), "--images", source, "--json"], { from: "user" })
      .catch((thrown: unknown) => thrown);
    const { problems } = JSON.parse(String(output.mock.calls[0]![0])) as {
      problems: { total: number; first: unknown[] };
    };
    expect(problems).toMatchObject({ total: 2 });
    expect(problems.first).toHaveLength(2);
    expect(error).toMatchObject({ code: "DATA_PROBLEMS" });
    expect(exitCodeOf(error)).toBe(2);
  });

  it("preview needs to know who reads", async () => {
    expect(await failure("data", "preview", at("captions.json"))).toMatchObject({ code: "PREVIEW_MODEL" });
  });
});
