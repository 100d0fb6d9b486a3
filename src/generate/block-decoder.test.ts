// Blocks answer as the weights that they stand for, whatever is cached, computed together, grown or left.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { random } from "../data/random.ts";
import type { LanguageConfig } from "../models/config.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { createBlockDecoder } from "./block-decoder.ts";
import { blockFolders, rounded } from "./block-model.fixture.ts";
import type { GenerationRequest, Prompt } from "./generation.ts";
import { type Generator, generatorOver } from "./generator.ts";
import { mostLikely } from "./sampling.ts";
import { tinyConfig, tinyWeights, wholeLogits } from "./tiny-model.fixture.ts";

let engine: Engine;
let folders: ReturnType<typeof blockFolders>;
beforeAll(async () => {
  engine = await createDirectEngine({ threads: 1 });
  folders = blockFolders();
});
afterAll(async () => {
  await engine.close();
  folders.remove();
});

async function inBlocks(changes: Partial<LanguageConfig> = {}, form: "int8" | "int4" = "int4", capacity = 16) {
  const config = tinyConfig({ hiddenSize: 64, headSize: 16, ...changes });
  const weights = tinyWeights(config);
  const { model } = await folders.open(config, weights, form);
  const generator = generatorOver(await createBlockDecoder(engine, config, model), { config, capacity });
  return { config, generator, model, ...(await rounded(config, weights, form)) };
}

const ids = (length: number, seed: number): number[] => Array.from({ length }, (_, i) => (i * 37 + seed * 101) % 300);

/** The answer's ids, and the logits of each. */
async function ask(generator: Generator, prompt: Prompt, more: Partial<GenerationRequest> = {}) {
  const logits: Float32Array[] = [];
  const sample = (given: Float32Array): number => {
    logits.push(given.slice());
    return mostLikely(given);
  };
  const { ids: answer, cachedTokens } = await generator.generate({
    ...{ prompt, maxNewTokens: 6, stopIds: [], sample },
    ...more,
  });
  return { answer, logits, cachedTokens };
}

/** 1 where they point the same way: products round their inputs to 8 bits, which turns logits by a thousandth or two */
function likeness(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

describe("logits are those of the rounded weights", () => {
  it.each<[string, "int8" | "int4", Partial<LanguageConfig>]>([
    ["4 bits", "int4", {}],
    ["8 bits", "int8", {}],
    ["tied", "int4", { tied: true }],
    ["qwen2 with biases", "int4", { family: "qwen2", queryKeyValueBias: true }],
    ["mistral with a window", "int4", { family: "mistral", slidingWindow: 5 }],
    ["as many key heads as query heads", "int8", { keyValueHeads: 4 }],
  ])("%s", async (_, form, changes) => {
    const { config, generator, weights, embedding } = await inBlocks(changes, form, 4);
    const prompt = ids(9, 2);
    const { answer, logits } = await ask(generator, { ids: prompt }, { maxNewTokens: 12 });
    for (const step of [0, 5, 11]) {
      const all = [...prompt, ...answer.slice(0, step)];
      const rows = new Map(
        all.map((id, t) => [t, embedding.subarray(id * config.hiddenSize, (id + 1) * config.hiddenSize)]),
      );
      const expected = await wholeLogits(engine, config, weights, all, rows);
      expect(likeness(logits[step]!, expected)).toBeGreaterThan(0.998);
    }
    await generator.release();
  });

  it("with picture features where ids stand", async () => {
    const { config, generator, weights, embedding } = await inBlocks();
    const width = config.hiddenSize;
    const rows = Float32Array.from({ length: 3 * width }, (_, i) => Math.cos(i));
    const prompt = {
      ids: [5, 6, 299, 299, 299, 7, 8],
      pictures: [{ start: 2, count: 3, picture: { key: "p", rows } }],
    };
    const { logits } = await ask(generator, prompt, { maxNewTokens: 1 });
    const given = new Map(
      prompt.ids.map((id, t) => {
        const shown = t >= 2 && t < 5 ? rows.subarray((t - 2) * width, (t - 1) * width) : undefined;
        return [t, shown ?? embedding.subarray(id * width, (id + 1) * width)];
      }),
    );
    expect(likeness(logits[0]!, await wholeLogits(engine, config, weights, prompt.ids, given))).toBeGreaterThan(0.998);
    await generator.release();
  });
});

describe("the same answer", () => {
  it("alone, beside others, and out of the cache", async () => {
    const { generator } = await inBlocks();
    const prompts = [ids(21, 1), ids(5, 2), [...ids(21, 1), 7], ids(40, 3)];
    const alone: number[][] = [];
    for (const prompt of prompts) {
      alone.push((await ask(generator, { ids: prompt })).answer);
      generator.reset();
    }
    const together = await Promise.all(prompts.map((prompt) => ask(generator, { ids: prompt })));
    expect(together.map(({ answer }) => answer)).toEqual(alone);
    const again = await ask(generator, { ids: prompts[0]! });
    expect(again.answer).toEqual(alone[0]);
    expect(again.cachedTokens).toBe(20);
    await generator.release();
  });

  it("whatever came before: prompts that begin alike, drop out of the cache and come back", async () => {
    const { generator } = await inBlocks({}, "int8", 8);
    const draw = random("mixes");
    const prompt = (): number[] => [...ids(1 + draw.int(30), draw.int(3)), ...ids(draw.int(4), draw.int(50))];
    const seen = new Map<string, number[]>();
    for (let round = 0; round < 12; round++) {
      const prompts = Array.from({ length: 1 + draw.int(5) }, prompt);
      const answers = await Promise.all(prompts.map((each) => ask(generator, { ids: each }, { maxNewTokens: 4 })));
      answers.forEach(({ answer }, i) => seen.set(JSON.stringify(prompts[i]), answer));
    }
    for (const [text, answer] of seen) {
      generator.reset();
      expect((await ask(generator, { ids: JSON.parse(text) as number[] }, { maxNewTokens: 4 })).answer).toEqual(answer);
    }
    await generator.release();
  });

  it("by an engine that copies what it computes", async () => {
    const copying = await createDirectEngine({ threads: 1, outputs: "copy" });
    const { config, generator, model } = await inBlocks();
    const decoder = await createBlockDecoder(copying, config, model);
    const prompt = { ids: ids(21, 1) };
    const copied = await ask(generatorOver(decoder, { config, capacity: 16 }), prompt);
    expect(copied.answer).toEqual((await ask(generator, prompt)).answer);
    await copying.close();
    await generator.release();
  });

  it("of a prompt longer than one run takes, and after the cache has grown", async () => {
    const { config, generator, weights, embedding } = await inBlocks({}, "int8", 4);
    const prompt = ids(300, 4);
    const { logits } = await ask(generator, { ids: prompt }, { maxNewTokens: 1 });
    const width = config.hiddenSize;
    const rows = new Map(prompt.map((id, t) => [t, embedding.subarray(id * width, (id + 1) * width)]));
    expect(likeness(logits[0]!, await wholeLogits(engine, config, weights, prompt, rows))).toBeGreaterThan(0.998);
    await generator.release();
  });
});
