// Configs of published checkpoints that leave out what is LLaMA's default.
import { expect, it } from "vitest";
import { tinyJson } from "../../test/tiny-model.ts";
import { parseLlavaConfig } from "./config.ts";

it("a text_config without a shape is LLaMA-7B's, as llava-1.5-7b-hf has it", () => {
  const text_config = { model_type: "llama", max_position_embeddings: 4096, rms_norm_eps: 1e-5, vocab_size: 32064 };
  const { language } = parseLlavaConfig({ ...tinyJson, text_config }, "config.json");
  const { hiddenSize, layers, heads, keyValueHeads, intermediateSize, vocabSize } = language;
  expect([hiddenSize, layers, heads, keyValueHeads, intermediateSize, vocabSize]).toEqual([
    4096, 32, 32, 32, 11008, 32064,
  ]);
});

it("other families must state theirs", () => {
  const text_config = { model_type: "qwen2" };
  expect(() => parseLlavaConfig({ ...tinyJson, text_config }, "config.json")).toThrow("text_config");
});
