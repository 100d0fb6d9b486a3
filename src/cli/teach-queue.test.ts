import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { runLlava } from "../../test/process.ts";
import { makeDatabase, postgres, type Database } from "../queue/postgres.fixture.ts";
import { fakeEndpoint, type FakeEndpoint } from "../teacher/endpoint.fixture.ts";
import { run } from "./run.fixture.ts";

let folder: string;
let source: string;
let server: FakeEndpoint;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "teach-queue-"));
  source = join(folder, "photos");
  mkdirSync(source);
  const names = ["dog", "cat", "car", "bus", "tree", "boat"];
  const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
    .jpeg()
    .toBuffer();
  for (const name of names) writeFileSync(join(source, `${name}.jpg`), picture);
  const rows = names.map((name) => `${name}.jpg,A ${name} near a road.`);
  writeFileSync(join(source, "captions.csv"), `file_name,caption\n${rows.join("\n")}\n`);
  let broken = false;
  server = await fakeEndpoint((context, _count, response) => {
    if (!context.includes("A dog") || broken) return "It stands near a grey road under a clear sky.";
    broken = true;
    response.destroy();
    return undefined;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  server.close();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const ask = (out: string): string[] => {
  const teacher = ["--teacher", server.base, "--model", "m", "--price", "3/7", "--kinds", "detail"];
  return ["teach", source, "--out", at(out), ...teacher, "--json"];
};

it.each([
  [["--queue", "redis://127.0.0.1"], "QUEUE_ADDRESS"],
  [["--queue", "postgres://127.0.0.1:1/x"], "QUEUE_DOWN"],
  [["--queue", "postgres://127.0.0.1:1/x", "--batch"], "QUEUE_BATCH"],
  [["--with-pictures", "--batch"], "PICTURES_TEACHER"],
])("refuses %j", async (args, code) => {
  await expect(run(...ask("a.json"), ...args)).rejects.toMatchObject({ code, exitCode: 2 });
});

it("loads no database driver where no queue is named", () => {
  const dist = (path: string): string =>
    JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../dist", path)).href);
  const script = `
    import { createRequire } from "node:module";
    import { createProgram } from ${dist("cli/program.js")};
    const loaded = () => Object.keys(createRequire(import.meta.url).cache)
      .filter((path) => /node_modules[\\\\/](pg|graphile-worker)[\\\\/]/.test(path)).length;
    await (await createProgram()).parseAsync(process.argv.slice(1), { from: "user" });
    const before = loaded();
    await import("pg");
    console.error(JSON.stringify([before, loaded() > 0]));`;
  const plain = ["teach", source, "--out", at("plain.json")];
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script, ...plain], { encoding: "utf8" });
  expect(JSON.parse(stderr.trim().split("\n").at(-1) ?? "")).toEqual([0, true]);
});

describe.skipIf(!postgres.present)("llava teach --queue (needs PostgreSQL)", () => {
  let database: Database;
  beforeAll(async () => {
    database = await makeDatabase();
  });
  afterAll(() => database.drop());

  it("plans, shares, lists what is in doubt, asks again when told to", async () => {
    const queue = ["--queue", database.url, "--queue-name", "photos"];
    expect(JSON.parse(await run(...ask("one.json"), ...queue, "--dry-run"))).toMatchObject({ to_ask: 6, spent: 0 });
    await expect(run("teach", "status", at("one.json"), ...queue)).rejects.toMatchObject({ code: "QUEUE_NAME" });
    const [one, two] = [await run(...ask("one.json"), ...queue), await run(...ask("two.json"), ...queue)];
    for (const text of [one, two])
      expect(JSON.parse(text)).toMatchObject({ samples: 5, in_doubt: 1, budget_spent: false });
    expect(readFileSync(at("two.json"), "utf8")).toBe(readFileSync(at("one.json"), "utf8"));
    expect(server.asked).toHaveLength(6);

    const status = JSON.parse(await run("teach", "status", at("one.json"), ...queue, "--json")) as object;
    expect(status).toMatchObject({ runs: 2, answers: 5, failed: { ENDPOINT_BROKEN: 1 }, in_doubt: 1 });
    expect(JSON.parse(await run(...ask("one.json"), ...queue, "--dry-run"))).toMatchObject({
      answered: 5,
      in_doubt: 1,
    });
    expect(await run("teach", "retry", at("one.json"), ...queue)).toContain("asks again for 1 requests");
    expect(JSON.parse(await run(...ask("one.json"), ...queue))).toMatchObject({ samples: 6, in_doubt: 0 });
    expect(server.asked).toHaveLength(7);
    await run("teach", "export", at("two.json"), at("attempts.csv"), ...queue);
    expect(readFileSync(at("attempts.csv"), "utf8").trim().split("\n")).toHaveLength(1 + 7);
  });

  it("sends pictures that each worker has itself: each once, and the outputs are the same", async () => {
    const colours = {
      dog: "#ff0000",
      cat: "#00ff00",
      car: "#0000ff",
      bus: "#ffff00",
      tree: "#00ffff",
      boat: "#ff00ff",
    };
    for (const [name, colour] of Object.entries(colours)) await draw(join(source, `${name}.jpg`), colour);
    // machines share a database, and no disk
    cpSync(source, at("elsewhere"), { recursive: true });
    const queue = ["--queue", database.url, "--queue-name", "seen", "--with-pictures"];
    const two = [...ask("two.json"), ...queue].map((word) => (word === source ? at("elsewhere") : word));
    const both = [[...ask("one.json"), ...queue], two].map((args) => runLlava(args, { cwd: folder }));
    for (const { code, stdout, stderr } of await Promise.all(both)) {
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ samples: 5, in_doubt: 1 });
    }
    expect(readFileSync(at("two.json"), "utf8")).toBe(readFileSync(at("one.json"), "utf8"));
    expect(server.asked).toHaveLength(6);
    for (const { context, pictures } of server.asked) {
      const name = /A (\w+) near/.exec(context)?.[1] as keyof typeof colours;
      expect(pictures).toHaveLength(1);
      expect(await shown(pictures[0]!), name).toEqual({ width: 512, height: 256, colour: colours[name] });
    }

    // another picture under the same name is another request; what is in doubt is left
    await draw(join(source, "cat.jpg"), "#ffffff");
    expect(JSON.parse(await run(...ask("one.json"), ...queue))).toMatchObject({ samples: 5, in_doubt: 1 });
    expect(server.asked).toHaveLength(7);
    expect(await shown(server.asked[6]!.pictures[0]!)).toMatchObject({ colour: "#ffffff" });
    // and without pictures all of them are
    const blind = queue.slice(0, -1);
    expect(JSON.parse(await run(...ask("one.json"), ...blind))).toMatchObject({ samples: 6 });
    expect(server.asked.slice(7).map(({ pictures }) => pictures)).toEqual(Array.from({ length: 6 }, () => []));
  });
});

async function draw(path: string, background: string): Promise<void> {
  const picture = sharp({ create: { width: 1024, height: 512, channels: 3, background } });
  writeFileSync(path, await picture.jpeg({ quality: 100 }).toBuffer());
}

/** What a picture's address holds: its size, and its colour without the noise of JPEG. */
async function shown(url: string): Promise<{ width: number; height: number; colour: string }> {
  const picture = sharp(Buffer.from(url.split(",")[1] ?? "", "base64"));
  const { width, height } = await picture.metadata();
  const { channels } = await picture.stats();
  const colour = channels.map(({ mean }) => (mean > 127 ? "ff" : "00")).join("");
  return { width, height, colour: `#${colour}` };
}
