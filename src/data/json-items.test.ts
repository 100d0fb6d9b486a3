import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { jsonItems, jsonSections, type JsonItem } from "./json-items.ts";

const folder = mkdtempSync(join(tmpdir(), "json-items-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "data.json");

async function collect(source: AsyncIterable<JsonItem>): Promise<JsonItem[]> {
  const items: JsonItem[] = [];
  for await (const item of source) items.push(item);
  return items;
}

async function read(content: string | Uint8Array, reader = jsonItems): Promise<JsonItem[]> {
  writeFileSync(path, content);
  return collect(reader(path));
}
const failure = (content: string | Uint8Array, reader = jsonItems): Promise<InputError> =>
  read(content, reader).then(
    (items) => expect.fail(`read ${items.length} items`),
    (error: unknown) => {
      expect(error).toBeInstanceOf(InputError);
      return error as InputError;
    },
  );

const space = fc.stringMatching(/^[ \n\t\r]{0,3}$/);
const value = fc.jsonValue({ maxDepth: 3 }).filter((v) => !JSON.stringify(v).includes("__proto__"));

describe("jsonItems", () => {
  it("reads what JSON.parse reads, from a list and from lines, with the line of each", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(value), fc.boolean(), space, space, async (values, pretty, before, after) => {
        const texts = values.map((v) => JSON.stringify(v, null, pretty ? 1 : 0));
        let content = `${before}[`;
        const lines = texts.map((text, i) => {
          content += i === 0 ? before : `,${after}`;
          const line = content.split("\n").length;
          content += text + before;
          return line;
        });
        const items = await read(`${content}]${after}`);
        const expected = texts.map((text) => JSON.parse(text) as unknown);
        expect(items.map((item) => item.value)).toEqual(expected);
        expect(items.map((item) => item.line)).toEqual(lines);
        if (Array.isArray(expected[0])) return; // such a file would itself be a list
        expect((await read(`${texts.join("\n")}\n`)).map((item) => item.value)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it("reads items across the boundaries of its chunks", async () => {
    const values = Array.from({ length: 3000 }, (_, i) => ({ i, text: `é"\\${"x".repeat((i * 37) % 3000)}` }));
    const items = await read(JSON.stringify(values));
    expect(items.map((item) => item.value)).toEqual(values);
    const big = ["\\".repeat(5_000_000), "é".repeat(1_000_000)];
    expect((await read(JSON.stringify(big))).map((item) => item.value)).toEqual(big);
  });

  it("skips a byte order mark; an empty file has no items", async () => {
    expect((await read("\ufeff[1]")).map((item) => item.value)).toEqual([1]);
    expect(await read("")).toEqual([]);
    expect(await read(" [ ] ")).toEqual([]);
  });

  it("says line and column of every cut", async () => {
    const content = '[\n {"id": "ä", "n": [1, true]},\n {"id": 2}\n]';
    for (let cut = 1; cut < content.length; cut++) {
      const text = content.slice(0, cut);
      const error = await failure(text);
      expect(error.code).toBe("JSON_INVALID");
      const lines = text.split("\n");
      const [line, column] = error.details.where!.split(":").slice(-2).map(Number);
      // a cut inside a word such as true is told where the word begins
      expect(line).toBe(lines.length);
      expect(column).toBeGreaterThan(lines.at(-1)!.length - 4);
      expect(column).toBeLessThanOrEqual(lines.at(-1)!.length + 1);
    }
  });

  it("takes a cut inside a character for a cut", async () => {
    const error = await failure(Buffer.from('["aä').subarray(0, 4));
    expect([error.code, error.details.got]).toEqual(["JSON_INVALID", "the end of the text"]);
  });

  it.each([
    ['[{"a": 1} {"a": 2}]', "JSON_INVALID", "1:11"],
    ['[{"a": 1},]', "JSON_INVALID", "1:11"],
    ["[1, , 2]", "JSON_INVALID", "1:5"],
    ["[1] 2", "JSON_INVALID", "1:5"],
    ["[1, 2}", "JSON_INVALID", "1:6"],
    ['["ü", nul]', "JSON_INVALID", "1:7"],
    ['{"a": 1}\n{"a": x}', "JSON_INVALID", "2:7"],
    ['["ü", {"a": 1,\n "a": 2}]', "JSON_DUPLICATE_KEY", "2:2"],
    [`[${"[".repeat(100)}${"]".repeat(100)}]`, "JSON_TOO_DEEP", "1:66"],
    ["]", "JSON_INVALID", "1:1"],
  ])("refuses %s", async (content, code, where) => {
    const error = await failure(content);
    expect([error.code, error.details.where]).toEqual([code, `${path}:${where}`]);
  });

  it("refuses bytes that are not UTF-8, values without end, and what is no file", async () => {
    expect((await failure(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]))).code).toBe("TEXT_INVALID");
    expect((await failure(`["${"x".repeat(40 * 2 ** 20)}`)).code).toBe("JSON_TOO_LONG");
    await expect(collect(jsonItems(join(folder, "none.json")))).rejects.toMatchObject({
      code: "FILE_MISSING",
    });
    await expect(collect(jsonItems(folder))).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });
});

describe("jsonSections", () => {
  it("gives members, and the elements of lists, with their keys", async () => {
    const items = await read(
      '{"info": {"a": [1]},\n "images": [{"id": 1},\n {"id": 2}], "none": [], "n": 3}',
      jsonSections,
    );
    expect(items).toEqual([
      { section: "info", value: { a: [1] }, line: 1 },
      { section: "images", value: { id: 1 }, line: 2 },
      { section: "images", value: { id: 2 }, line: 3 },
      { section: "n", value: 3, line: 3 },
    ]);
    expect(await read("{}", jsonSections)).toEqual([]);
  });

  it.each([
    ["[]", "1:1"],
    ['{"a" 1}', "1:6"],
    ["{a: 1}", "1:2"],
    ['{"a": }', "1:7"],
    ['{"a": [1}', "1:9"],
    ['{"a": 1', "1:8"],
    ['{"a": 1,}', "1:9"],
  ])("refuses %s", async (content, where) => {
    const error = await failure(content, jsonSections);
    expect([error.code, error.details.where]).toEqual(["JSON_INVALID", `${path}:${where}`]);
  });
});
