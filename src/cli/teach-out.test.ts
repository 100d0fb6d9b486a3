// What comes out of `llava teach` and `llava data convert`: Parquet and back, splits, cards, reports; shards going in.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packTar } from "modern-tar";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "./run.fixture.ts";

const names = ["dog", "cat", "car", "bus", "tree", "boat"];
let folder: string;
let picture: Buffer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "teach-out-"));
  mkdirSync(join(folder, "photos"));
  picture = await sharp({ create: { width: 16, height: 16, channels: 3, background: "red" } })
    .jpeg()
    .toBuffer();
  for (const name of names) {
    writeFileSync(join(folder, "photos", `${name}.jpg`), picture);
    writeFileSync(join(folder, "photos", `${name}.txt`), `A ${name} near a road.\nA ${name} in the sun.`);
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const readJson = (name: string): { image: string; conversations: { value: string }[] }[] =>
  JSON.parse(readFileSync(at(name), "utf8"));

describe("llava data convert", () => {
  it("goes to Parquet and back without a change", async () => {
    await run("data", "convert", at("photos"), "--out", at("a.json"));
    await run("data", "convert", at("a.json"), "--images", at("photos"), "--out", at("b.parquet"));
    const back = JSON.parse(await run("data", "convert", at("b.parquet"), "--out", at("c.json"), "--json"));
    expect(back).toEqual({ out: at("c.json"), samples: 12, images: at("b-pictures") });
    expect(readJson("c.json")).toEqual(readJson("a.json"));
    expect(readdirSync(at("b-pictures")).sort()).toEqual(names.map((name) => `${name}.jpg`).sort());
    expect(readFileSync(at("b-pictures/dog.jpg"))).toEqual(picture);
    const lost = run("data", "convert", at("a.json"), "--out", at("d.parquet"));
    await expect(lost).rejects.toMatchObject({ code: "PARQUET_IMAGES" });
  });

  it("splits by picture", async () => {
    const said = await run("data", "convert", at("photos"), "--out", at("x.json"), "--split", "test=0.4", "--json");
    const { splits } = JSON.parse(said) as { splits: { out: string; samples: number }[] };
    expect(splits.map(({ out }) => out)).toEqual([at("x-train.json"), at("x-test.json")]);
    const [train, test] = ["x-train.json", "x-test.json"].map(
      (name) => new Set(readJson(name).map(({ image }) => image)),
    );
    expect([...train!].filter((image) => test!.has(image))).toEqual([]);
    expect(train!.size + test!.size).toBe(6);
    expect(existsSync(at("x.json"))).toBe(false);
  });
});

describe("llava teach", () => {
  it("unpacks shards, writes Parquet, a card and a report", async () => {
    const files = names.flatMap((name) => [
      { header: { name: `${name}.jpg`, size: picture.length, type: "file" as const }, body: new Uint8Array(picture) },
      {
        header: { name: `${name}.txt`, size: 15 + name.length, type: "file" as const },
        body: `A ${name} on a street.`,
      },
    ]);
    writeFileSync(at("lab.tar"), await packTar(files));
    const card = ["--card", at("card.md"), "--license", "cc0-1.0"];
    const said = JSON.parse(await run("teach", at("lab.tar"), "--out", at("o.json"), ...card, "--json"));
    expect(said).toMatchObject({ pictures: 6, images: at("lab-pictures") });
    expect(said.samples).toBeGreaterThan(0);
    expect(readdirSync(at("lab-pictures"))).toHaveLength(6);
    expect(readFileSync(at("card.md"), "utf8")).toMatch(
      /license: cc0-1.0[\s\S]*pictures of lab.tar \(webdataset, 6 pictures\)/,
    );
    await run("teach", at("lab.tar"), "--out", at("o.parquet"));
    expect((await run("data", "convert", at("o.parquet"), "--out", at("p.json"))).trim()).toMatch(/p\.json/);
    expect(readJson("p.json")).toEqual(readJson("o.json"));
    expect((await run("teach", "report", at("o.json"), "--images", at("lab-pictures"))).trim()).toBe(
      at("o.json.report.html"),
    );
    expect(readFileSync(at("o.json.report.html"), "utf8")).toContain("data:image/jpeg;base64,");
  });

  it("refuses what it cannot do before it begins", async () => {
    const teach = (...more: string[]): Promise<string> =>
      run("teach", at("photos"), "--out", at("o.json"), "--teacher", "http://127.0.0.1:1/v1", "--model", "m", ...more);
    await expect(teach("--kinds", "vqa,vqa")).rejects.toMatchObject({ code: "TEACHER_KIND" });
    await expect(teach("--kinds", "poem=2")).rejects.toMatchObject({ code: "TEACHER_KIND" });
    await expect(teach("--judge", "j", "--judge-at", "x.yaml")).rejects.toMatchObject({ code: "JUDGE_ADDRESS" });
    mkdirSync(at("kind"));
    const head = "---\nname: k\nversion: 1\ntemperature: 0\nmax_tokens: 9\ncontext: captions\nreply: pair\n---\n";
    writeFileSync(at("kind/prompt.md"), `${head}Use {captions}.\n`);
    await expect(teach("--kinds", at("kind"))).rejects.toMatchObject({
      code: "PROMPT_INVALID",
      details: { where: `${at("kind/prompt.md")}:9` },
    });
    const plan = JSON.parse(await teach("--kinds", "conversation=2,vqa=1", "--candidates", "4", "--dry-run", "--json"));
    expect(plan.requests).toBeLessThanOrEqual(4);
    expect(existsSync(at("o.json"))).toBe(false);
  });
});
