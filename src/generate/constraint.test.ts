// Whatever a model would like to say, what it says is JSON of the schema.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../data/random.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { Constraints, vocabularyOf } from "./constraint.ts";
import { Grammar, type Sequence } from "./grammar.ts";
import { schemaGrammar } from "./json-grammar.ts";
import { createSampler } from "./sampling.ts";

function reads(sequence: Sequence, text: string): boolean {
  const grammar = new Grammar(sequence);
  return grammar.walk(grammar.start, text)?.complete === true;
}

/** JSON as the grammar writes it: a space behind colons and commas. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${spaced(each)}`);
  return `{${members.join(", ")}}`;
}

describe("JSON", () => {
  it("any object is read, and nothing else", () => {
    const value = fc
      .jsonValue({ noUnicodeString: false })
      .filter((each) => !/\d{15}|e[+-]\d{3}/.test(JSON.stringify(each)));
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value), (object) => {
        const text = spaced(object);
        const grammar = new Grammar(schemaGrammar({ type: "object" }));
        const before = grammar.walk(grammar.start, text.slice(0, -1));
        const end = before && grammar.walk(before, text.slice(-1));
        expect([before?.complete, end?.complete, end?.closed]).toEqual([false, true, true]);
      }),
      { numRuns: 50 },
    );
    for (const text of [
      "",
      "[]",
      "{",
      '{"a": 01}',
      '{"a": 1,}',
      '{"a": "\n"}',
      '{"a": "\\x"}',
      "{'a': 1}",
      '{"a": +1}',
    ]) {
      expect(reads(schemaGrammar({ type: "object" }), text)).toBe(false);
    }
  });

  const schema = {
    type: "object",
    properties: {
      name: { type: "string" },
      kind: { enum: ["cat", "dog", 7, null] },
      size: { anyOf: [{ type: "integer" }, { type: "null" }] },
      tags: { type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 2 },
      part: { $ref: "#/$defs/part" },
    },
    required: ["name", "tags"],
    $defs: { part: { type: "object", properties: { part: { $ref: "#/$defs/part" } }, additionalProperties: false } },
  };
  it.each([
    ['{"name": "a", "tags": [true]}', true],
    ['{"name": "a", "kind": "dog", "size": -12, "tags": [true, false], "part": {"part": {}}}', true],
    ['{"name": "a", "kind": 7, "size": null, "tags": [true]}', true],
    ['{"tags": [true]}', false],
    ['{"tags": [true], "name": "a"}', false],
    ['{"name": "a", "tags": []}', false],
    ['{"name": "a", "tags": [true, true, true]}', false],
    ['{"name": "a", "kind": "cow", "tags": [true]}', false],
    ['{"name": "a", "size": 1.5, "tags": [true]}', false],
    ['{"name": "a", "tags": [true], "more": 1}', false],
    ['{, "tags": [true]}', false],
  ])("%s: %s", (text, right) => {
    expect(reads(schemaGrammar(schema), text)).toBe(right);
  });

  it.each([
    [{ type: "string", pattern: "a+" }],
    [{ type: "string", maxLength: 3 }],
    [{ type: "number", minimum: 0 }],
    [{ not: {} }],
    [{ allOf: [{}] }],
    [{ type: "thing" }],
    [{ $ref: "http://example.org/" }],
    [{ $ref: "#/$defs/none" }],
    [{ $ref: "#/__proto__" }],
    [{ type: "object", properties: { a: {} }, required: ["b"] }],
    [{ type: "array", maxItems: 1e9 }],
    [3],
  ])("%j says more than can be held, and is refused", (wrong) => {
    expect(() => schemaGrammar(wrong)).toThrow(expect.objectContaining({ code: "JSON_SCHEMA" }) as Error);
  });

  it("grammars that grow, or lead nowhere, are given up", () => {
    let deep: object = {};
    for (let i = 0; i < 100; i++) deep = { anyOf: [deep, deep] };
    expect(() => schemaGrammar(deep)).toThrow(expect.objectContaining({ code: "JSON_SCHEMA" }) as Error);
    const wide = { enum: Array.from({ length: 5000 }, (_, i) => `${i}`) };
    expect(() => new Grammar(schemaGrammar(wide))).toThrow(expect.objectContaining({ code: "GRAMMAR_SIZE" }) as Error);
    const self = { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } };
    expect(new Grammar(schemaGrammar(self)).start.closed).toBe(true);
  });
});

it.each(["bytes", "pieces_always"])("answers of random logits are JSON of the schema (%s)", (name) => {
  const tokenizer = tinyTokenizer(name);
  const schema = {
    type: "object",
    properties: { colour: { enum: ["red", "dark green"] }, count: { type: "integer" }, seen: { type: "boolean" } },
    required: ["colour", "count", "seen"],
  };
  const constraints = new Constraints(new Grammar(schemaGrammar(schema)), vocabularyOf(tokenizer));
  for (let seed = 0; seed < 20; seed++) {
    const constraint = constraints.start();
    const sample = createSampler({ temperature: 1, seed });
    const draw = random(seed, "logits");
    const ids: number[] = [];
    for (let done = false; !done;) {
      expect(ids.length).toBeLessThan(200);
      const logits = Float32Array.from({ length: tokenizer.vocabSize }, () => 8 * draw.float());
      ids.push(sample(constraint.mask(logits, [])));
      done = constraint.push(ids.at(-1)!);
    }
    const value = JSON.parse(tokenizer.decode(ids)) as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(["colour", "count", "seen"]);
    expect(["red", "dark green"]).toContain(value["colour"]);
    expect(Number.isInteger(value["count"])).toBe(true);
    expect(typeof value["seen"]).toBe("boolean");
  }
});
