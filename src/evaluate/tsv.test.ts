// Tables with pictures in them: read a row at a time, pictures as files of their index, each once; what is no picture is refused.
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { writeTinyLlava } from "../../test/tiny-export.ts";
import { run } from "../cli/run.fixture.ts";
import { unpacker } from "../data/sources/shards.ts";
import { encodePng, probePicture } from "../image/node.ts";
import { readTsv, tsvPictures } from "./tsv.ts";

let folder: string;
const at = (name: string): string => join(folder, name);
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "tsv-"))));
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});
const picture = async (width: number): Promise<string> =>
  Buffer.from(
    await encodePng({ width, height: 30, data: new Uint8Array(width * 90).map((_, i) => (i * i) % 251) }),
  ).toString("base64");
const head = "index\timage\tquestion\tA\tB\tanswer\n";

it("unpacks pictures once, and takes another row's where a cell names it", async () => {
  const rows = [
    `3\t${await picture(20)}\tWho?\tann\tbob\tB`,
    `4\t${await picture(21)}\tWhat?\t"a ""b"""\tc\tA`,
    "1000003\t3\tWho?\tbob\tann\tA",
  ];
  await writeFile(at("x.tsv"), head + rows.join("\n"));
  const unpack = unpacker(at("pictures"), () => tsvPictures(at("x.tsv")));
  expect(await unpack()).toBe(2);
  expect((await readdir(at("pictures"))).toSorted()).toEqual(["3.jpg", "4.jpg"]);
  expect(await probePicture(join(at("pictures"), "4.jpg"))).toMatchObject({ width: 21, height: 30, format: "png" });
  expect(await unpack()).toBe(0);
  const read = await readTsv(at("x.tsv"), ["index", "question"]);
  expect(read.map(({ index, A }) => [index, A])).toEqual([
    ["3", "ann"],
    ["4", 'a "b"'],
    ["1000003", "bob"],
  ]);
  expect(read[1]).not.toHaveProperty("image");
  expect(read[1]!.where).toBe(`${at("x.tsv")}:3`);
});

it("refuses what is no picture, and names that lead elsewhere", async () => {
  const pictures = async (row: string): Promise<unknown> => {
    await writeFile(at("x.tsv"), head + row);
    for await (const each of tsvPictures(at("x.tsv"))) return each;
    return undefined;
  };
  await expect(pictures(`3\t${"QUJD".repeat(30)}\tWho?\ta\tb\tA`)).rejects.toMatchObject({ code: "QUESTION_SHAPE" });
  await expect(pictures(`../3\t${await picture(20)}\tWho?\ta\tb\tA`)).rejects.toMatchObject({ code: "PICTURE_PATH" });
  expect(await pictures("3\t\tWho?\ta\tb\tA")).toBeUndefined();
  await expect(readTsv(at("none.tsv"), [])).rejects.toMatchObject({ code: "FILE_MISSING" });
  await writeFile(at("x.tsv"), `${head}3\t\t"never closed`);
  await expect(readTsv(at("x.tsv"), ["index"])).rejects.toMatchObject({ code: "QUESTION_SHAPE" });
});

it("is what llava eval reads: the table alone, and a folder for its pictures", async () => {
  await writeTinyLlava(at("model"), { text_config: { max_position_embeddings: 1024 } });
  const rows = [`3\t${await picture(20)}\tW?\ta\tb\tB`, `4\t${await picture(21)}\tX?\tc\td\tA`];
  await writeFile(at("x.tsv"), head + rows.join("\n"));
  const args = [
    "--task",
    "mmbench",
    "--questions",
    at("x.tsv"),
    "--images",
    at("pictures"),
    "--threads",
    "1",
    "--json",
  ];
  const found = JSON.parse(await run("eval", at("model"), ...args)) as { n: number; accuracy: number };
  expect(found).toMatchObject({ task: "mmbench", n: 4 });
  expect((await readdir(at("pictures"))).toSorted()).toEqual(["3.jpg", "4.jpg"]);
});
