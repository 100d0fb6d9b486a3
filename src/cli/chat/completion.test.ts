// The Tab key, beside real files.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { splitWords } from "../words.ts";
import { complete } from "./completion.ts";

const folder = mkdtempSync(join(tmpdir(), "tab-"));
mkdirSync(join(folder, "my photos"));
for (const name of ["a b.png", "ab.png", "c.png", ".hidden", "evil\u001B[2J.png"])
  writeFileSync(join(folder, name), "");
writeFileSync(join(folder, "my photos", "d.png"), "");
afterAll(() => rmSync(folder, { recursive: true }));

it("completes commands and settings", () => {
  expect(complete("/s")).toEqual([["/system ", "/set ", "/stats ", "/save "], "/s"]);
  expect(complete("/set t")).toEqual([["temperature ", "top-p ", "top-k "], "t"]);
  expect(complete("/set temperature 0")).toEqual([[], "0"]);
  expect(complete("/nothing x")).toEqual([[], "x"]);
});

it("completes paths as they have to be typed", () => {
  const found = (line: string): string[] =>
    complete(line)[0]
      .map((word) => splitWords(word)[0]!)
      .sort();
  expect(found(`/image ${folder}/a`)).toEqual(["a b.png", "ab.png"].map((name) => join(folder, name)).sort());
  expect(complete(`/image x.png ${folder}/m`)).toEqual([[`${folder}/my\\ photos/`], `${folder}/m`]);
  expect(found(`/load ${folder}/my\\ photos/`)).toEqual([join(folder, "my photos", "d.png")]);
  expect(found(`/image ${folder}/`)).toHaveLength(4);
  expect(found(`/image ${folder}/.h`)).toEqual([join(folder, ".hidden")]);
  expect(found("/image /none/at/all/x")).toEqual([]);
});

it("leaves questions alone", () => {
  expect(complete(`What is ${folder}/a`)).toEqual([[], `What is ${folder}/a`]);
});
