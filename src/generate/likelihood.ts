// How likely a model holds given answers: each is fed as if it had been chosen, and the chances of its tokens are noted.
import type { ChatTurn } from "../text/conversation.ts";
import { textTurn } from "../text/conversation.ts";
import { encodeConversation, encodePrompt } from "../text/encode.ts";
import { type Assistant, type Picture, readPrompt } from "./assistant.ts";
import { logNormaliser } from "./sampling.ts";

export interface LikelihoodOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The mean log probability of each answer's tokens, the one that ends it included, behind the last turn, which is the
 * user's. Answers are computed side by side and share the prompt. Throws as `answerTurns`, and the signal's reason.
 */
export async function answerLikelihoods(
  assistant: Assistant,
  turns: readonly ChatTurn[],
  pictures: readonly Picture[],
  answers: readonly string[],
  { signal }: LikelihoodOptions = {},
): Promise<number[]> {
  const { tokenizer, template, generator } = assistant;
  const prompt = await readPrompt(assistant, turns, pictures);
  const start = encodePrompt(tokenizer, template, turns).ids.length;
  const likelihoods = answers.map(async (answer) => {
    const { ids, learned } = encodeConversation(tokenizer, template, [...turns, textTurn("assistant", answer)]);
    const given = [...ids.subarray(start, learned.lastIndexOf(1) + 1)];
    let [sum, next] = [0, 0];
    const sample = (logits: Float32Array): number => {
      const id = given[next++]!;
      sum += logits[id]! - logNormaliser(logits);
      return id;
    };
    await generator.generate({ prompt, maxNewTokens: given.length, stopIds: [], sample, signal });
    signal?.throwIfAborted();
    return sum / next;
  });
  return Promise.all(likelihoods);
}
