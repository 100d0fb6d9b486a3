// `llava data preview`: which samples are shown, and with which others where training reads them behind one picture.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { writeTinyProject } from "../../test/tiny-bases.ts";
import type { SamplePreview } from "../data/preview.ts";
import { run } from "./run.fixture.ts";

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "preview-"));
  const recipe = await writeTinyProject(folder, "tiny");
  writeFileSync(at("own.yaml"), recipe);
  writeFileSync(at("shared.yaml"), recipe.replace("template: plain", "template: plain, share_pictures: 3"));
  const samples = JSON.parse(readFileSync(at("samples.json"), "utf8")) as { id: string; image: string }[];
  // samples 0 and 4 and 8 are about one picture, 1 and 5 and 9 about another, and so on
  const about = samples.map((sample, i) => ({ ...sample, image: `${i % 4}.png` }));
  writeFileSync(at("samples.json"), JSON.stringify(about));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

async function previews(recipe: string, ...args: string[]): Promise<SamplePreview[]> {
  const text = await run("data", "preview", at("samples.json"), "--recipe", at(recipe), "--json", ...args);
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as SamplePreview);
}

const ids = (shown: readonly SamplePreview[]): string[] => shown.map(({ id }) => id);

it("shows samples by themselves, in the file's order or by their ids", async () => {
  expect(ids(await previews("own.yaml"))).toEqual(["0", "1", "2"]);
  expect(ids(await previews("own.yaml", "--skip", "10"))).toEqual(["10", "11"]);
  expect(ids(await previews("own.yaml", "--id", "7", "--id", "3"))).toEqual(["3", "7"]);
  await expect(previews("own.yaml", "--id", "x")).rejects.toMatchObject({ code: "PREVIEW_NONE" });
});

it("shows each with those that share its picture, where the stage says so", async () => {
  const [first, second, ...rest] = await previews("shared.yaml", "-n", "2");
  expect([ids([first!, second!]), rest]).toEqual([["0, 4, 8", "1, 5, 9"], []]);
  expect(first!.spans.map(({ branch }) => branch)).toEqual([undefined, 1, 2, 3]);
  const alone = (await previews("own.yaml", "-n", "1"))[0]!;
  expect(first!.spans.slice(0, 2).map(({ text }) => text)).toEqual(alone.spans.map(({ text }) => text));
  // one that is asked for stands first, and is shown once
  expect(ids(await previews("shared.yaml", "--id", "5"))).toEqual(["5, 1, 9"]);
  expect(ids(await previews("shared.yaml", "--id", "5", "--id", "9"))).toEqual(["5, 9, 1"]);
});
