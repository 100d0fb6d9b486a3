// Likelihoods of given answers are those of the model computed whole, token by token.
import { afterAll, expect, it } from "vitest";
import { createDirectEngine } from "../runtime/direct-node.ts";
import { textTurn } from "../text/conversation.ts";
import { encodeConversation, encodePrompt } from "../text/encode.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { templateNamed } from "../text/templates.ts";
import type { Assistant } from "./assistant.ts";
import { createGenerator } from "./generator.ts";
import { answerLikelihoods } from "./likelihood.ts";
import { tinyConfig, tinyWeights, wholeLogits } from "./tiny-model.fixture.ts";
import { uploadWeights } from "./weights.ts";

const engine = await createDirectEngine({ threads: 1 });
afterAll(() => engine.close());

it("of several answers at once, their ends included", async () => {
  const tokenizer = tinyTokenizer("bytes");
  const template = templateNamed("chatml");
  const config = tinyConfig({ vocabSize: tokenizer.vocabSize });
  const weights = tinyWeights(config);
  const { parameter } = await uploadWeights(engine, weights);
  const generator = createGenerator({ engine, config, parameter });
  const assistant: Assistant = {
    generator,
    tokenizer,
    template,
    endIds: [],
    where: "test",
    release: async () => {},
  };
  const turns = [textTurn("user", "What is it?")];
  const answers = ["a dog", "a cat on a mat", "x"];
  const found = await answerLikelihoods(assistant, turns, [], answers);
  const start = encodePrompt(tokenizer, template, turns).ids.length;
  for (const [i, answer] of answers.entries()) {
    const { ids, learned } = encodeConversation(tokenizer, template, [...turns, textTurn("assistant", answer)]);
    let [sum, count] = [0, 0];
    for (let t = start; t < ids.length && learned[t] === 1; t++, count++) {
      const logits = await wholeLogits(engine, config, weights, [...ids.subarray(0, t)]);
      sum += logits[ids[t]!]! - Math.log(logits.reduce((total, x) => total + Math.exp(x), 0));
    }
    expect(count).toBeGreaterThan(1);
    expect(found[i]).toBeCloseTo(sum / count, 4);
  }
  expect(new Set(found).size).toBe(3);
  const aborted = AbortSignal.abort(new Error("enough"));
  await expect(answerLikelihoods(assistant, turns, [], answers, { signal: aborted })).rejects.toThrow("enough");
  await generator.release();
});
