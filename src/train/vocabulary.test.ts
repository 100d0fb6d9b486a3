import { expect, it } from "vitest";
import { tinyConfig, tinyModel } from "../../test/tiny-model.ts";
import { embeddingName } from "../models/llama.ts";
import { tinyFiles, tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { addTokens } from "./vocabulary.ts";

const json = tinyFiles("bytes");
const files = { where: "tiny", tokenizerJson: json.tokenizer, tokenizerConfig: json.config as Record<string, unknown> };
const known = tinyTokenizer("bytes").vocabSize;
const width = 16;

/** A model with so many rows more than its tokenizer has tokens. */
function language(spare: number): Parameters<typeof addTokens>[1] {
  const config = { ...tinyConfig().language, vocabSize: known + spare, tied: false };
  const model = tinyModel({ ...tinyConfig(), language: config });
  return { config, weights: model.language };
}

const rowsOf = (values: Float32Array): number[][] =>
  Array.from({ length: values.length / width }, (_, row) => [...values.subarray(row * width, (row + 1) * width)]);

it.each([0, 3, 70])(
  "starts the rows of new tokens at the mean of the known ones, with %i spare rows",
  async (spare) => {
    const base = language(spare);
    const { config, weights, tokenizer } = addTokens(files, base, ["<box>", "<|pad|>"]);
    expect(config.vocabSize).toBe(spare >= 2 ? known + spare : Math.ceil((known + 2) / 64) * 64);
    expect([tokenizer.controlId("<box>"), tokenizer.controlId("<|pad|>")]).toEqual([known, known + 1]);
    for (const name of [embeddingName, "lm_head.weight"]) {
      expect(weights.shapes.get(name)).toEqual([config.vocabSize, width]);
      const [before, after] = [rowsOf(await base.weights.load(name)), rowsOf(await weights.load(name))];
      const mean = Array.from(
        { length: width },
        (_, i) => before.slice(0, known).reduce((sum, row) => sum + row[i]!, 0) / known,
      );
      after.forEach((row, id) => {
        const fresh = (id >= known && id < known + 2) || id >= known + spare;
        if (fresh) row.forEach((x, i) => expect(Math.abs(x - mean[i]!)).toBeLessThan(1e-6));
        else expect(row).toEqual(before[id]);
      });
    }
    expect(await weights.load("model.norm.weight")).toEqual(await base.weights.load("model.norm.weight"));
  },
);

it("adds words that text becomes, and markers that it never becomes", () => {
  const { tokenizer, tokenizerFiles } = addTokens(files, language(0), ["zebra", "<box>"]);
  expect(tokenizer.encode("a zebra <box>", "inText").filter((id) => id >= known)).toEqual([known]);
  expect(tokenizer.decode([known])).toBe("zebra");
  const again = createTokenizer(tokenizerFiles);
  expect(again.encode("zebra", "inText")).toEqual([known]);
  expect(again.controlId("<box>")).toBe(known + 1);
});

it("leaves alone what the tokenizer has", () => {
  const base = language(0);
  const once = addTokens(files, base, ["zebra", "<box>"]);
  const twice = addTokens(once.tokenizerFiles, once, ["zebra", "<box>"]);
  expect(twice.config.vocabSize).toBe(once.config.vocabSize);
  expect(twice.tokenizer.vocabSize).toBe(once.tokenizer.vocabSize);
  expect(addTokens(files, base, []).weights).toBe(base.weights);
});
