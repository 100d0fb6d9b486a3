// Several answers of a real, tiny model: different seeds, ranked by what its own logits say.
import { afterAll, beforeAll, expect, it } from "vitest";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { templateNamed } from "../text/templates.ts";
import { type Assistant, answerTurns, userTurn, writeTurns } from "./assistant.ts";
import { createGenerator } from "./generator.ts";
import { bestAnswers } from "./n-best.ts";
import { tinyConfig, tinyWeights, wholeLogits } from "./tiny-model.fixture.ts";
import { uploadWeights } from "./weights.ts";

let engine: Engine;
let assistant: Assistant;
const tokenizer = tinyTokenizer("bytes");
const config = tinyConfig({ vocabSize: tokenizer.vocabSize });
const weights = tinyWeights(config);
const turns = [userTurn("Say something.", 0)];

beforeAll(async () => {
  engine = await createDirectEngine({ threads: 1 });
  const { parameter } = await uploadWeights(engine, weights);
  const generator = createGenerator({ engine, config, parameter });
  const template = templateNamed("chatml");
  assistant = { generator, tokenizer, template, endIds: [], where: "tiny", release: () => generator.release() };
});
afterAll(async () => {
  await assistant.release();
  await engine.close();
});

it("gives each seed its answer, the likeliest first", async () => {
  const options = { temperature: 1.2, seed: 7, maxNewTokens: 6 };
  const answers = await bestAnswers(assistant, turns, [], { ...options, n: 4 });
  const ranks = answers.map(({ logprob }) => logprob);
  expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
  expect(new Set(ranks).size).toBeGreaterThan(1);
  const alone = await Promise.all([7, 8, 9, 10].map((seed) => answerTurns(assistant, turns, [], { ...options, seed })));
  const idsOf = (list: readonly { readonly token_ids: readonly number[] }[]) =>
    list.map(({ token_ids: ids }) => ids.join()).sort();
  expect(idsOf(answers)).toEqual(idsOf(alone));
});

it("ranks by the mean of what the whole model says of each token", async () => {
  const [answer] = await bestAnswers(assistant, turns, [], { temperature: 1, n: 1, maxNewTokens: 3 });
  const prompt = [...writeTurns(assistant, turns, []).ids];
  let sum = 0;
  for (const [i, id] of answer!.token_ids.entries()) {
    const logits = await wholeLogits(engine, config, weights, [...prompt, ...answer!.token_ids.slice(0, i)]);
    const total = logits.reduce((all, logit) => all + Math.exp(logit), 0);
    sum += logits[id]! - Math.log(total);
  }
  expect(answer!.logprob).toBeCloseTo(sum / answer!.token_ids.length, 3);
});

it("refuses several answers where all would be the same", async () => {
  await expect(bestAnswers(assistant, turns, [], { n: 2 })).rejects.toMatchObject({ code: "SAMPLING_OPTION" });
});
