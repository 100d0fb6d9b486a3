// A checked request on its way to answers: pictures read, words written, lengths held to, its turn waited for.
import { createHash } from "node:crypto";
import {
  type AnswerOptions,
  answerPrompt,
  placePictures,
  writeTurns,
  type WrittenTurns,
} from "../generate/assistant.ts";
import type { Generation, PictureTokens, Prompt } from "../generate/generation.ts";
import type { ChatTurn } from "../text/conversation.ts";
import { RequestError } from "./errors.ts";
import type { Ticket } from "./gate.ts";
import type { ServeLimits } from "./limits.ts";
import type { PictureAddress } from "./messages.ts";
import type { Metrics } from "./metrics.ts";
import { contextOf, type ServedModel } from "./models.ts";
import { type Kitchen, readPicture, type ReadyPicture, readyPictures } from "./pictures.ts";

export interface Question {
  readonly model: ServedModel;
  readonly turns: readonly ChatTurn[];
  readonly pictures: readonly PictureAddress[];
  /** undefined: the server's own number, or what the context has left */
  readonly maxNewTokens: number | undefined;
  /** whose question it is: nothing cached is shared with others */
  readonly salt: string | undefined;
}

/** A question that can be answered: nothing about it is wrong any more. */
export interface ReadyQuestion {
  readonly model: ServedModel;
  readonly written: WrittenTurns;
  readonly pictures: readonly ReadyPicture[];
  readonly maxNewTokens: number;
  readonly salt: string | undefined;
}

/** Makes a question ready. Throws as `readyPictures` and `writeTurns`, and `CONTEXT_LENGTH_EXCEEDED`. */
export async function readyQuestion(question: Question, kitchen: Kitchen, signal: AbortSignal): Promise<ReadyQuestion> {
  const { model, turns, salt } = question;
  const pictures = await readyPictures(question.pictures, question, kitchen, signal);
  const counts = pictures.map(({ count }) => count);
  const written = writeTurns(model.assistant, turns, counts);
  return { model, written, pictures, maxNewTokens: checkLength(written.ids.length, question, kitchen.limits), salt };
}

/** The most new tokens of an answer to a prompt of `length` tokens. */
function checkLength(length: number, { model, maxNewTokens }: Question, limits: ServeLimits): number {
  const context = contextOf(model);
  if (length >= context) {
    throw new RequestError(400, "CONTEXT_LENGTH_EXCEEDED", {
      expected: `a prompt of at most ${context - 1} tokens, pictures included`,
      got: String(length),
      where: "messages",
      fix: "ask with fewer words, turns or pictures",
    });
  }
  if (maxNewTokens !== undefined && maxNewTokens > context) {
    throw new RequestError(400, "INVALID_VALUE", {
      expected: `at most ${context} new tokens, the context of this model`,
      got: String(maxNewTokens),
      where: "max_completion_tokens",
    });
  }
  return Math.min(maxNewTokens ?? limits.newTokens, context - length);
}

async function readPrompt(question: ReadyQuestion, metrics: Metrics, signal: AbortSignal): Promise<Prompt> {
  const { model, written, pictures, salt } = question;
  const read: PictureTokens[] = [];
  for (const picture of pictures) read.push(await metrics.time("encode", () => readPicture(model, picture, signal)));
  return { ...placePictures(written, read), salt };
}

/** How one answer is drawn and told. */
export type ChoiceOptions = Omit<AnswerOptions, "maxNewTokens" | "signal">;

export interface Choice {
  readonly text: string;
  readonly generation: Generation;
}

/**
 * Answers a ready question once for each of `choices`, all computed together, when it is its turn. Answers that were cut
 * off by the signal make it throw the signal's reason.
 */
export async function answerQuestion(
  question: ReadyQuestion,
  choices: readonly ChoiceOptions[],
  { metrics }: Kitchen,
  ticket: Ticket,
): Promise<Choice[]> {
  const { model, maxNewTokens } = question;
  const { signal } = ticket;
  await metrics.time("queue", () => ticket.turn(choices.length));
  const prompt = await readPrompt(question, metrics, signal);
  const started = performance.now();
  const answers = await Promise.all(
    choices.map(async (options) => {
      let first: number | undefined;
      const onChoice: ChoiceOptions["onChoice"] = (id, logits) => {
        first ??= performance.now();
        options.onChoice?.(id, logits);
      };
      const answer = await answerPrompt(model.assistant, prompt, { ...options, onChoice, maxNewTokens, signal });
      metrics.answer(answer.generation, started, first);
      return answer;
    }),
  );
  signal.throwIfAborted();
  return answers;
}

/** A salt for what is cached of one key's questions; undefined where there are no keys. */
export function saltOf(key: string | undefined): string | undefined {
  return key === undefined ? undefined : createHash("sha256").update(`cache ${key}`).digest("hex").slice(0, 32);
}
