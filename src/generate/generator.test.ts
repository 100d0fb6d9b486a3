// Answers equal those computed whole, whatever is cached, batched, grown or dropped; PyTorch's goldens hold exactly.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InputError, RunError } from "../errors.ts";
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName } from "../models/llama.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine, EngineBuffer } from "../runtime/engine.ts";
import { type GenerationRequest } from "./generation.ts";
import { createGenerator, type Generator } from "./generator.ts";
import { mostLikely } from "./sampling.ts";
import type { Prompt } from "./generation.ts";
import { tinyConfig, tinyWeights, wholeLogits } from "./tiny-model.fixture.ts";
import { uploadWeights } from "./weights.ts";

let engine: Engine;
beforeAll(async () => void (engine = await createDirectEngine({ threads: 1 })));
afterAll(() => engine.close());

const request = (prompt: Prompt, more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt,
  maxNewTokens: 6,
  stopIds: [],
  sample: mostLikely,
  ...more,
});

async function tinyGenerator(changes: Partial<LanguageConfig> = {}, capacity = 16) {
  const config = tinyConfig(changes);
  const weights = tinyWeights(config);
  const uploaded = await uploadWeights(engine, weights);
  const generator = createGenerator({ engine, config, parameter: uploaded.parameter, capacity });
  return { config, weights, generator, ...uploaded };
}

/** What a generator without any cache would say. */
async function wholeGreedy(config: LanguageConfig, prompt: readonly number[], count: number): Promise<number[]> {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) ids.push(mostLikely(await wholeLogits(engine, config, tinyWeights(config), ids)));
  return ids.slice(prompt.length);
}

const ids = (length: number, seed: number): number[] => Array.from({ length }, (_, i) => (i * 37 + seed * 101) % 300);

describe("one request", () => {
  it.each<[string, Partial<LanguageConfig>]>([
    ["llama", {}],
    ["tied", { tied: true }],
    ["qwen2 with biases", { family: "qwen2", queryKeyValueBias: true }],
    ["mistral with a window", { family: "mistral", slidingWindow: 5 }],
  ])("%s answers as computed whole", async (_, changes) => {
    const { config, generator } = await tinyGenerator(changes);
    const prompt = ids(21, 1);
    const { ids: answer, finishReason, promptTokens } = await generator.generate(request({ ids: prompt }));
    expect(answer).toEqual(await wholeGreedy(config, prompt, 6));
    expect([finishReason, promptTokens]).toEqual(["length", 21]);
  });

  it("gives the sampler the whole model's logits, however the cache has grown", async () => {
    const { config, weights, generator } = await tinyGenerator({}, 4);
    const all: Float32Array[] = [];
    const sample = (logits: Float32Array): number => {
      all.push(logits.slice());
      return mostLikely(logits);
    };
    const { ids: answer } = await generator.generate(request({ ids: ids(9, 2) }, { sample, maxNewTokens: 12 }));
    for (const step of [0, 5, 11]) {
      const expected = await wholeLogits(engine, config, weights, [...ids(9, 2), ...answer.slice(0, step)]);
      expect(largestDifference(all[step]!, expected)).toBeLessThan(1e-4);
    }
  });

  it("puts picture features where ids stand", async () => {
    const { config, weights, generator } = await tinyGenerator();
    const rows = Float32Array.from({ length: 3 * config.hiddenSize }, (_, i) => Math.cos(i));
    const row = (i: number): Float32Array => rows.subarray(i * config.hiddenSize, (i + 1) * config.hiddenSize);
    let logits = new Float32Array();
    const sample = (given: Float32Array): number => mostLikely((logits = given.slice()));
    const picture = { start: 2, count: 3, picture: { key: "p", rows } };
    const prompt = { ids: [5, 6, 299, 299, 299, 7, 8], pictures: [picture] };
    await generator.generate(request(prompt, { sample, maxNewTokens: 1 }));
    const places = new Map([0, 1, 2].map((i) => [i + 2, row(i)]));
    const expected = await wholeLogits(engine, config, weights, prompt.ids, places);
    expect(largestDifference(logits, expected)).toBeLessThan(1e-4);
    // another picture in the same place is another prompt, the same picture is cached
    const again = await generator.generate(request(prompt, { maxNewTokens: 1 }));
    expect(again.cachedTokens).toBe(6);
    const other = { ...picture, picture: { key: "q", rows: rows.map((x) => -x) } };
    const { cachedTokens } = await generator.generate(request({ ...prompt, pictures: [other] }, { maxNewTokens: 1 }));
    expect(cachedTokens).toBe(2);
  });
});

describe("what is cached or shared", () => {
  it("changes no answer: any mix of requests equals each alone", async () => {
    const { config, generator } = await tinyGenerator();
    const prompts = [ids(7, 1), ids(20, 1), [...ids(7, 1), 4, 4], ids(3, 9), ids(40, 5), [...ids(20, 1), 8]];
    const alone = await Promise.all(prompts.map((prompt) => wholeGreedy(config, prompt, 4)));
    const mixes = fc.array(fc.array(fc.nat({ max: prompts.length - 1 }), { minLength: 1, maxLength: 5 }), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(mixes, async (rounds) => {
        for (const round of rounds) {
          const answers = await Promise.all(
            round.map((i) => generator.generate(request({ ids: prompts[i]! }, { maxNewTokens: 4 }))),
          );
          expect(answers.map((answer) => answer.ids)).toEqual(round.map((i) => alone[i]));
        }
      }),
      { numRuns: 12 },
    );
  });

  it("computes a beginning once, also among requests that start together", async () => {
    const { generator } = await tinyGenerator();
    const first = ids(30, 3);
    const asked = [[...first, 1, 2], [...first, 3], first];
    const answers = await Promise.all(asked.map((each) => generator.generate(request({ ids: each }))));
    expect(answers.every(({ cachedTokens }) => cachedTokens === 0)).toBe(true);
    const later = await generator.generate(request({ ids: [...first, 3, ...answers[1]!.ids, 5] }));
    // all but the answer's last id, which was never fed, and the new one
    expect(later.cachedTokens).toBe(31 + 5);
  });

  it("keeps within its slots by dropping earlier prompts", async () => {
    const { config, generator } = await tinyGenerator({}, 64);
    const prompt = ids(40, 1);
    for (let seed = 1; seed < 6; seed++) await generator.generate(request({ ids: ids(40, seed) }));
    const { ids: answer, cachedTokens } = await generator.generate(request({ ids: prompt }));
    expect(cachedTokens).toBe(0);
    expect(answer).toEqual(await wholeGreedy(config, prompt, 6));
  });

  it("is forgotten by reset, when weights have changed", async () => {
    const { config, generator, parameter, weights } = await tinyGenerator({}, 64);
    const prompt = ids(12, 4);
    const before = await generator.generate(request({ ids: prompt }));
    const table = parameter(embeddingName) as EngineBuffer<"float32">;
    const changed = (await weights.load(embeddingName)).map((x) => -2 * x) as Float32Array<ArrayBuffer>;
    await engine.pass().write(table, changed).submit();
    generator.reset();
    const after = await generator.generate(request({ ids: prompt }));
    expect(after.cachedTokens).toBe(0);
    expect(after.ids).not.toEqual(before.ids);
    const fresh = createGenerator({ engine, config, parameter });
    expect((await fresh.generate(request({ ids: prompt }))).ids).toEqual(after.ids);
  });
});

describe("the end of an answer", () => {
  let generator: Generator;
  let answer: number[];
  beforeAll(async () => {
    ({ generator } = await tinyGenerator());
    ({ ids: answer } = await generator.generate(request({ ids: [1, 2, 3] })));
  });

  it("is a stop id, which belongs to it", async () => {
    const stop = answer[3]!;
    const { ids: stopped, finishReason } = await generator.generate(request({ ids: [1, 2, 3] }, { stopIds: [stop] }));
    expect(finishReason).toBe("stop");
    expect(stopped).toEqual(answer.slice(0, answer.indexOf(stop) + 1));
  });

  it("is where onToken says", async () => {
    const seen: number[] = [];
    const onToken = (id: number): boolean => seen.push(id) === 2;
    const { ids: stopped, finishReason } = await generator.generate(request({ ids: [1, 2, 3] }, { onToken }));
    expect([stopped, seen, finishReason]).toEqual([answer.slice(0, 2), answer.slice(0, 2), "stop"]);
  });

  it("is the end of the context", async () => {
    const { generator: short } = await tinyGenerator({ maxPositions: 10 });
    const { ids: cut, finishReason } = await short.generate(request({ ids: ids(8, 1) }));
    expect([cut.length, finishReason]).toEqual([2, "length"]);
    const tooLong = short.generate(request({ ids: ids(10, 1) }));
    await expect(tooLong).rejects.toThrow(InputError);
    await expect(short.generate(request({ ids: [] }))).rejects.toMatchObject({ code: "PROMPT_TOO_LONG" });
  });

  it("is an interruption, while others go on", async () => {
    const control = new AbortController();
    const onToken = (): void => control.abort();
    const [stopped, other] = await Promise.all([
      generator.generate(request({ ids: [1, 2, 3] }, { signal: control.signal, onToken })),
      generator.generate(request({ ids: [1, 2, 3] })),
    ]);
    expect([stopped.ids, stopped.finishReason]).toEqual([answer.slice(0, 1), "interrupted"]);
    expect(other.ids).toEqual(answer);
    const late = await generator.generate(request({ ids: [1, 2, 3] }, { signal: AbortSignal.abort() }));
    expect([late.ids, late.finishReason]).toEqual([[], "interrupted"]);
  });
});

it("recovers from weights that gave no numbers", async () => {
  const { generator, parameter, weights } = await tinyGenerator();
  const good = await generator.generate(request({ ids: ids(9, 1) }));
  const table = parameter(embeddingName) as EngineBuffer<"float32">;
  await engine.pass().call({ kernel: "fill", buffer: table, value: Number.NaN }).submit();
  generator.reset();
  await expect(generator.generate(request({ ids: ids(9, 1) }))).rejects.toThrow(RunError);
  await engine
    .pass()
    .write(table, (await weights.load(embeddingName)) as Float32Array<ArrayBuffer>)
    .submit();
  expect((await generator.generate(request({ ids: ids(9, 1) }))).ids).toEqual(good.ids);
});

it("gives its memory back", async () => {
  const { generator, release } = await tinyGenerator();
  await generator.generate(request({ ids: ids(9, 1) }));
  await generator.release();
  release();
  await expect(generator.generate(request({ ids: [1] }))).rejects.toThrow();
});

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), a.length === b.length ? 0 : Infinity);
}
