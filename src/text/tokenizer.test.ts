// Plain text, control tokens, decoding and streaming, against Hugging Face's tokenizers and by property.
import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { InputError } from "../errors.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import { golden, labTokenizer, tinyFiles, tinyTokenizer, tokenizers } from "./tokenizers.fixture.ts";

/** Trusted text with its control tokens recognised, as Hugging Face's `encode` reads a rendered template. */
function encodeMarked(tokenizer: Tokenizer, text: string): number[] {
  return tokenizer
    .splitControls(text)
    .flatMap((piece, i) =>
      typeof piece === "string" ? tokenizer.encode(piece, i === 0 ? "start" : "afterControl") : [piece.id],
    );
}

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const stream = tokenizer.stream();
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

// text with everything in it that a tokenizer may stumble over
const hardText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 8 }),
      fc.constantFrom(
        "</s>",
        "<s>",
        "<unk>",
        "<image>",
        "<|im_start|>",
        "<|im_end|>",
        "<|start_story|>",
        "<0x0A>",
        " ",
        "  ",
        "\n",
        "▁",
        "Ġ",
        "2026",
        "\uFEFF",
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));

describe.each(tokenizers)("%s", (name, tokenizer) => {
  const expected = golden.tokenizers[name]!;

  it("gives the ids and texts that Hugging Face's tokenizers gives", () => {
    const ids = golden.strings.map((text) => tokenizer.encode(text));
    expect(ids).toEqual(expected.plain);
    const texts = golden.strings.map((text, i) => expected.decoded[i] ?? text);
    expect(ids.map((row) => tokenizer.decode(row))).toEqual(texts);
    expect(ids.map((row) => streamed(tokenizer, row).join(""))).toEqual(texts);
  });

  it("reads trusted text with its control tokens as Hugging Face's tokenizers does", () => {
    for (const [text, ids] of expected.marked) expect(encodeMarked(tokenizer, text), JSON.stringify(text)).toEqual(ids);
  });

  it("never makes a control token of text, wherever it stands", () => {
    const unknown = tokenizer.controlId("<unk>");
    const controls = ["<s>", "</s>", "<image>", "<|im_start|>", "<|im_end|>", "<|start_story|>", "<|end_story|>"];
    const ids = new Set(
      controls.map((token) => tokenizer.controlId(token)).filter((id) => id !== undefined && id !== unknown),
    );
    expect(ids.size).toBeGreaterThan(1);
    fc.assert(
      fc.property(hardText, fc.constantFrom("start", "afterControl", "inText"), (text, place) => {
        for (const id of tokenizer.encode(text, place)) {
          expect(ids.has(id)).toBe(false);
          expect(id).toBeLessThan(tokenizer.vocabSize);
        }
      }),
    );
  });

  it("streams what it decodes, never half a character", () => {
    fc.assert(
      fc.property(hardText, (text) => {
        const ids = tokenizer.encode(text);
        const pushed = streamed(tokenizer, ids);
        expect(pushed.join("")).toBe(tokenizer.decode(ids));
        if (!text.includes("\uFFFD")) for (const piece of pushed) expect(piece).not.toContain("\uFFFD");
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.nat(tokenizer.vocabSize - 1), { maxLength: 30 }), (ids) => {
        expect(streamed(tokenizer, ids).join("")).toBe(tokenizer.decode(ids));
      }),
    );
  });
});

describe("byte level", () => {
  const tokenizer = tinyTokenizer("bytes");

  it("brings every text back, in one piece or cut", () => {
    fc.assert(
      fc.property(hardText, hardText, (a, b) => {
        expect(tokenizer.decode([...tokenizer.encode(a), ...tokenizer.encode(b, "inText")])).toBe(a + b);
      }),
    );
  });

  it("decodes control tokens as their spelling, or leaves them out", () => {
    const end = tokenizer.controlId("<|im_end|>")!;
    const ids = [...tokenizer.encode("a dog"), end, 123_456, -200];
    expect(tokenizer.decode(ids)).toBe("a dog<|im_end|>");
    expect(tokenizer.decode(ids, { skipControl: true })).toBe("a dog");
    expect(tokenizer.decode([])).toBe("");
    const stream = tokenizer.stream({ skipControl: true });
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe("a dog");
  });
});

describe("SentencePiece style", () => {
  it.each([
    ["pieces_first", false],
    ["pieces_always", true],
  ])("%s puts the prefix space where its file says, and never inside running text", (name, afterControl) => {
    const tokenizer = tinyTokenizer(name);
    const bare = tokenizer.encode("a dog", "inText");
    const prefixed = tokenizer.encode(" a dog", "inText");
    expect(prefixed).not.toEqual(bare);
    expect(tokenizer.encode("a dog", "start")).toEqual(prefixed);
    expect(tokenizer.encode("a dog", "afterControl")).toEqual(afterControl ? prefixed : bare);
  });

  it("expects BOS; the others don't", () => {
    expect(tokenizers.map(([name, tokenizer]) => [name, tokenizer.addsBos, tokenizer.bos?.token])).toEqual(
      expect.arrayContaining([
        ["bytes", false, undefined],
        ["pieces_first", true, "<s>"],
        ["words", false, "<s>"],
      ]),
    );
  });
});

it("reads from the post-processor whether BOS is added, unless the config says", () => {
  const { tokenizer, config } = tinyFiles("pieces_first");
  const { add_bos_token: _, ...silent } = config;
  const bosFirst = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  };
  const addsBos = (post_processor: unknown, tokenizerConfig: unknown): boolean =>
    createTokenizer({ tokenizerJson: { ...tokenizer, post_processor }, tokenizerConfig, where: "t" }).addsBos;
  expect(addsBos(null, silent)).toBe(false);
  expect(addsBos(bosFirst, silent)).toBe(true);
  expect(addsBos({ type: "Sequence", processors: [{ type: "ByteLevel" }, bosFirst] }, silent)).toBe(true);
  expect(addsBos({ type: "RobertaProcessing", cls: ["<s>", 1], sep: ["</s>", 2] }, silent)).toBe(true);
  expect(addsBos(bosFirst, { ...config, add_bos_token: false })).toBe(false);
});

it("keeps added tokens that are text, and takes markers for control tokens even when they are not marked special", () => {
  const { tokenizer, config } = tinyFiles("bytes");
  const added = [
    ...(tokenizer["added_tokens"] as object[]),
    { id: 330, content: "    ", special: false },
    { id: 331, content: "<tool_call>", special: false },
  ];
  const both = createTokenizer({
    tokenizerJson: { ...tokenizer, added_tokens: added },
    tokenizerConfig: config,
    where: "t",
  });
  expect(both.vocabSize).toBe(332);
  expect(both.encode("a    a")).toContain(330);
  expect(both.encode("<tool_call>")).not.toContain(331);
  expect(both.controlId("<tool_call>")).toBe(331);
  expect(both.controlId("    ")).toBeUndefined();
});

it("lets control tokens of a template take the white space that they strip", () => {
  const { tokenizer, config } = tinyFiles("bytes");
  const added = (tokenizer["added_tokens"] as Record<string, unknown>[]).map((token) =>
    token["content"] === "<|im_end|>" ? { ...token, lstrip: true, rstrip: true } : token,
  );
  const stripping = createTokenizer({
    tokenizerJson: { ...tokenizer, added_tokens: added },
    tokenizerConfig: config,
    where: "t",
  });
  expect(
    stripping
      .splitControls(" a \n<|im_end|>\n b</s> ")
      .map((piece) => (typeof piece === "string" ? piece : piece.token)),
  ).toEqual([" a", "<|im_end|>", "b", "</s>", " "]);
});

it("appends control tokens, and the files it gives describe the same tokenizer", () => {
  for (const name of ["bytes", "pieces_first"]) {
    const tokenizer = tinyTokenizer(name);
    const added = tokenizer.withAdded(["<image>", "<pad>"]);
    const again = createTokenizer({
      tokenizerJson: structuredClone(added.tokenizerJson),
      tokenizerConfig: structuredClone(added.tokenizerConfig),
      where: name,
    });
    for (const made of [added.tokenizer, again]) {
      expect(made.controlId("<image>")).toBe(tokenizer.controlId("<image>"));
      expect(made.controlId("<pad>")).toBe(tokenizer.vocabSize);
      expect(made.vocabSize).toBe(tokenizer.vocabSize + 1);
      for (const text of golden.strings) expect(made.encode(text)).toEqual(tokenizer.encode(text));
      expect(made.encode("<pad>")).not.toContain(tokenizer.vocabSize);
    }
    expect(added.tokenizerConfig["additional_special_tokens"]).toEqual(["<image>", "<pad>"]);
    expect(added.tokenizerJson["added_tokens"]).toContainEqual(
      expect.objectContaining({ content: "<pad>", normalized: false, special: true }),
    );
  }
});

const { tokenizer: good, config: goodConfig } = tinyFiles("words");
it.each<[string, unknown, unknown, string]>([
  ["no object", [], goodConfig, "t.json"],
  ["config is no object", good, null, "tokenizer_config.json"],
  ["no model", {}, goodConfig, "model"],
  ["no vocabulary", { ...good, model: { type: "BPE" } }, goodConfig, "model.vocab"],
  ["an empty vocabulary", { ...good, model: { type: "BPE", vocab: {}, merges: [] } }, goodConfig, "model.vocab"],
  [
    "an id that is a fraction",
    { ...good, model: { type: "WordLevel", vocab: { a: 0.5 } } },
    goodConfig,
    'model.vocab["a"]',
  ],
  [
    "an id beyond all bounds",
    { ...good, model: { type: "WordLevel", vocab: { a: 1e12 } } },
    goodConfig,
    'model.vocab["a"]',
  ],
  [
    "a piece without a score",
    { ...good, model: { type: "Unigram", unk_id: 0, vocab: [["a"]] } },
    goodConfig,
    "model.vocab[0]",
  ],
  [
    "merges that are no list",
    { ...good, model: { type: "BPE", vocab: { a: 0 }, merges: "a b" } },
    goodConfig,
    "model.merges",
  ],
  ["added tokens that are no list", { ...good, added_tokens: {} }, goodConfig, "added_tokens"],
  [
    "an added token without content",
    { ...good, added_tokens: [{ id: 1, content: "" }] },
    goodConfig,
    "added_tokens[0].content",
  ],
  ["an added token without id", { ...good, added_tokens: [{ content: "a" }] }, goodConfig, "added_tokens[0].id"],
  ["an unknown normalizer", { ...good, normalizer: { type: "Nonsense" } }, goodConfig, "t.json"],
  [
    "a pattern that is none",
    { ...good, pre_tokenizer: { type: "Split", pattern: { Regex: "(" } } },
    goodConfig,
    "t.json",
  ],
])("refuses %s, naming the place", (_, tokenizerJson, tokenizerConfig, place) => {
  const create = (): Tokenizer => createTokenizer({ tokenizerJson, tokenizerConfig, where: "t.json" });
  expect(create).toThrow(InputError);
  expect(create).toThrow(
    expect.objectContaining({ code: "TOKENIZER_INVALID", message: expect.stringContaining(place) }),
  );
});

// needs the lab's shared folder
describe.skipIf(!lab.present)("the lab's models", () => {
  it("SmolLM2: the golden's cases, control tokens recognised as in trusted text", () => {
    const { encode } = JSON.parse(readFileSync(lab.path("models/smollm2-135m-instruct/golden.json"), "utf8"));
    const tokenizer = labTokenizer("smollm2-135m-instruct");
    expect(encode).toHaveLength(4);
    for (const [text, ids] of encode) {
      expect(encodeMarked(tokenizer, text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it("TinyStories: the golden's prompt with BOS, and its answer's text", () => {
    const { prompt, prompt_ids, greedy_ids, greedy_text } = JSON.parse(
      readFileSync(lab.path("models/tinystories-656k-llama/golden.json"), "utf8"),
    );
    const tokenizer = labTokenizer("tinystories-656k-llama");
    expect(tokenizer.addsBos).toBe(true);
    expect([tokenizer.bos!.id, ...tokenizer.encode(prompt)]).toEqual(prompt_ids);
    expect(tokenizer.decode(greedy_ids)).toBe(`<|start_story|>${greedy_text}`);
  });
});
