// Strict JSON: the same language as JSON.parse, less repeated keys and deep nesting; positions in errors.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { parseJson } from "./json.ts";

function attempt(parse: () => unknown): { value?: unknown; error?: unknown } {
  try {
    return { value: parse() };
  } catch (error) {
    return { error };
  }
}

/** JSON.parse decides; only our additional refusals may differ */
function sameAsParse(text: string): void {
  const theirs = attempt(() => JSON.parse(text) as unknown);
  const ours = attempt(() => parseJson(text, "t"));
  if (ours.error === undefined) {
    expect(ours.value).toEqual(theirs.value);
    return;
  }
  expect(ours.error).toBeInstanceOf(InputError);
  const { code } = ours.error as InputError;
  expect(code === "JSON_DUPLICATE_KEY" || theirs.error !== undefined, `${code} for ${text}`).toBe(true);
}

describe("parseJson", () => {
  it("accepts what JSON.parse accepts", () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, 1, "\t"), (text, indent) => {
        const pretty = JSON.stringify(JSON.parse(text), null, indent);
        sameAsParse(pretty);
        expect(attempt(() => parseJson(pretty, "t")).error).toBeUndefined();
      }),
      { numRuns: 500 },
    );
    for (const text of [
      "0",
      "-0.5e+3",
      " [ ] ",
      '{"a":{}}',
      '"\\ud800"',
      "\ufeff[1]",
      "\r\n null \t",
      '{"__proto__":1}',
    ]) {
      expect(parseJson(text, "t")).toEqual(JSON.parse(text.replace("\ufeff", "")));
    }
  });

  it("refuses what JSON.parse refuses", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom(...'[]{},:"\\ne0-.1x \n\u0001'), (text, at, char) => {
        const cut = at % (text.length + 1);
        sameAsParse(text.slice(0, cut) + char + text.slice(cut));
        sameAsParse(text.slice(0, cut) + char + text.slice(cut + 1));
        sameAsParse(text.slice(0, cut));
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{},:"\\u0a1e-.+ tru'), maxLength: 12 }), sameAsParse),
      { numRuns: 3000 },
    );
  });

  it.each([
    ["", "t:1:1", "end of the text"],
    ['{"a": 1,\n "b": [1, 2', "t:2:12", "end of the text"],
    ['{"a": 1,\n "b": tru}', "t:2:7", "tru}"],
    ["[1,\n\n 2 3]", "t:3:4", "3]"],
    ['{"a" 1}', "t:1:6", "1}"],
    ["{a: 1}", "t:1:2", "a: 1}"],
    ["[1,]", "t:1:4", "]"],
    ['["\\q"]', "t:1:3", "\\\\q"],
    ['["a\nb"]', "t:1:4", "\\nb"],
    ["1 2", "t:1:3", "2"],
    ["[01]", "t:1:3", "1]"],
  ])("names line and column: %j", (text, where, got) => {
    const { error } = attempt(() => parseJson(text, "t"));
    expect(error).toMatchObject({ code: "JSON_INVALID", details: { where } });
    expect((error as InputError).details.got).toContain(got);
  });

  it("refuses repeated keys, however they are written, and deep nesting", () => {
    const { error } = attempt(() => parseJson('{"ab": 1,\n "a\\u0062": 2}', "t"));
    expect(error).toMatchObject({ code: "JSON_DUPLICATE_KEY", details: { where: "t:2:2" } });
    expect(parseJson('[{"a":1},{"a":{"a":2}}]', "t")).toEqual([{ a: 1 }, { a: { a: 2 } }]);
    const deep = (n: number): string => "[".repeat(n) + "]".repeat(n);
    expect(parseJson(deep(256), "t")).toBeInstanceOf(Array);
    expect(attempt(() => parseJson(deep(257), "t")).error).toMatchObject({ code: "JSON_TOO_DEEP" });
    expect(attempt(() => parseJson("[".repeat(1e6), "t")).error).toMatchObject({ code: "JSON_TOO_DEEP" });
    expect(attempt(() => parseJson(deep(3), "t", { maxDepth: 2 })).error).toMatchObject({ code: "JSON_TOO_DEEP" });
  });

  it("can insist on natural numbers", () => {
    expect(parseJson("[0, 12]", "t", { naturalNumbers: true })).toEqual([0, 12]);
    for (const text of ["-1", "1.0", "1e2", "[0.5]"]) {
      expect(attempt(() => parseJson(text, "t", { naturalNumbers: true })).error).toMatchObject({
        code: "JSON_INVALID",
      });
    }
  });
});
