// POST /v1/chat/completions: OpenAI's wire format around the answers, whole or as a stream of chunks.
import { randomBytes, randomInt } from "node:crypto";
import type { FinishReason } from "../generate/generation.ts";
import { choiceSeeds } from "../generate/n-best.ts";
import type { SamplingOptions } from "../generate/sampling-options.ts";
import type { ChatRequest, samplingFields } from "./chat-schema.ts";
import { RequestError, wireError } from "./errors.ts";
import { eventStream, type EventWriter } from "./events.ts";
import type { Ticket } from "./gate.ts";
import { type ChosenLogprob, chosenLogprob } from "./logprobs.ts";
import type { Constraints } from "../generate/constraint.ts";
import { constraintsOf } from "./format.ts";
import { turnsOfMessages } from "./messages.ts";
import { findModel, type ServedModel } from "./models.ts";
import type { Kitchen } from "./pictures.ts";
import {
  answerQuestion,
  type Choice,
  type ChoiceOptions,
  type Question,
  type ReadyQuestion,
  readyQuestion,
} from "./question.ts";

/** Tokens of a request as OpenAI counts them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number; readonly image_tokens: number };
}

/** What became of a request, for the log. */
export type Report = (said: { readonly model: string; readonly usage?: Usage; readonly error?: unknown }) => void;

/** The question in a request. Throws `MODEL_NOT_FOUND`, `INVALID_VALUE`. */
export function questionOf(
  request: Pick<ChatRequest, "model" | "messages" | "max_completion_tokens" | "max_tokens">,
  models: readonly ServedModel[],
  salt: string | undefined,
): Question {
  const model = findModel(models, request.model);
  const maxNewTokens = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  return { model, ...turnsOfMessages(request.messages), maxNewTokens, salt };
}

/** What draws each choice: the same question with seeds side by side. */
export function samplingOf(request: Pick<ChatRequest, keyof typeof samplingFields | "n">): ChoiceOptions[] {
  const { temperature, top_p: topP, top_k: topK, min_p: minP, repetition_penalty: repetitionPenalty } = request;
  const given = Object.entries({ temperature, topP, topK, minP, repetitionPenalty }).filter(
    ([, value]) => value != null,
  );
  return choiceSeeds(request.seed ?? randomInt(2 ** 31), request.n ?? 1).map((seed) => ({
    ...(Object.fromEntries(given) as SamplingOptions),
    seed,
  }));
}

/** Answers a chat request; the ticket is left when the answer is complete. */
export async function answerChat(
  request: ChatRequest,
  question: Question,
  kitchen: Kitchen,
  ticket: Ticket,
  report: Report,
): Promise<Response> {
  checkChoices(request, kitchen);
  const ready = await readyQuestion(question, kitchen, ticket.signal);
  const answer = new ChatAnswer(request, ready, kitchen, ticket, report);
  if (request.stream !== true) return Response.json(await answer.whole());
  return eventStream((events) => answer.stream(events));
}

function checkChoices({ n, logprobs, top_logprobs: top }: ChatRequest, { limits }: Kitchen): void {
  const most = Math.min(limits.choices, limits.parallel);
  const refuse = (where: string, expected: string, got: string): never => {
    throw new RequestError(400, "INVALID_VALUE", { expected, got, where });
  };
  if ((n ?? 1) > most) refuse("n", `at most ${most}`, String(n));
  if (top != null && logprobs !== true) refuse("top_logprobs", "logprobs to be true with it", String(logprobs));
}

class ChatAnswer {
  readonly #request: ChatRequest;
  readonly #ready: ReadyQuestion;
  readonly #kitchen: Kitchen;
  readonly #ticket: Ticket;
  readonly #report: Report;
  readonly #constraints: Constraints | undefined;
  readonly #head: { readonly id: string; readonly created: number; readonly model: string };

  constructor(request: ChatRequest, ready: ReadyQuestion, kitchen: Kitchen, ticket: Ticket, report: Report) {
    this.#request = request;
    this.#ready = ready;
    this.#kitchen = kitchen;
    this.#ticket = ticket;
    this.#report = report;
    this.#constraints = constraintsOf(request.response_format, ready.model);
    const created = Math.floor(Date.now() / 1000);
    this.#head = { id: `chatcmpl-${randomBytes(12).toString("hex")}`, created, model: ready.model.name };
  }

  async whole(): Promise<object> {
    const told = this.#choices(() => undefined);
    const choices = await this.#answer(told.map(({ options }) => options));
    return {
      ...this.#head,
      object: "chat.completion",
      choices: choices.map(({ text, generation }, index) => ({
        index,
        message: { role: "assistant", content: text, refusal: null },
        logprobs: told[index]!.take(generation.finishReason),
        finish_reason: generation.finishReason,
      })),
      usage: usageOf(choices, this.#ready),
    };
  }

  /** Never throws: what fails after the head has gone out is told as an event. */
  async stream(events: EventWriter): Promise<void> {
    const withUsage = this.#request.stream_options?.include_usage === true;
    const send = (choices: readonly object[], usage: Usage | null = null): void =>
      events.send({ ...this.#head, object: "chat.completion.chunk", choices, ...(withUsage && { usage }) });
    try {
      const told = this.#choices((index, content) => {
        send([{ index, delta: { content }, logprobs: told[index]!.take(), finish_reason: null }]);
      });
      for (const index of told.keys()) {
        send([{ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }]);
      }
      const choices = await this.#answer(told.map(({ options }) => options));
      for (const [index, { generation }] of choices.entries()) {
        const finish = generation.finishReason;
        send([{ index, delta: {}, logprobs: told[index]!.take(finish), finish_reason: finish }]);
      }
      if (withUsage) send([], usageOf(choices, this.#ready));
      events.line("[DONE]");
    } catch (error) {
      this.#report({ model: this.#head.model, error });
      events.send(wireError(error).body);
    }
  }

  async #answer(options: readonly ChoiceOptions[]): Promise<Choice[]> {
    try {
      const choices = await answerQuestion(this.#ready, options, this.#kitchen, this.#ticket);
      this.#report({ model: this.#head.model, usage: usageOf(choices, this.#ready) });
      return choices;
    } finally {
      this.#ticket.leave();
    }
  }

  #choices(onText: (index: number, text: string) => void): ChoiceTold[] {
    const { stop, logprobs, top_logprobs: top } = this.#request;
    const stopTexts = typeof stop === "string" ? [stop] : (stop ?? []);
    const { tokenizer } = this.#ready.model.assistant;
    const constraints = this.#constraints;
    return samplingOf(this.#request).map((sampling, index) => {
      const pending: ChosenLogprob[] = [];
      const onChoice: ChoiceOptions["onChoice"] = (id, logits) =>
        void pending.push(chosenLogprob(tokenizer, id, logits, top ?? 0));
      return {
        options: {
          ...sampling,
          stopTexts,
          constraint: constraints?.start(),
          onText: (text) => onText(index, text),
          ...(logprobs && { onChoice }),
        },
        take: (finish) => (logprobs ? { content: taken(pending, finish), refusal: null } : null),
      };
    });
  }
}

interface ChoiceTold {
  readonly options: ChoiceOptions;
  /** The log probabilities since the last time; with `finish` the last ones. */
  take(finish?: FinishReason): { readonly content: ChosenLogprob[] } | null;
}

function taken(pending: ChosenLogprob[], finish: FinishReason | undefined): ChosenLogprob[] {
  const all = pending.splice(0);
  return finish === "stop" ? all.slice(0, -1) : all;
}

/** Tokens of all choices; the prompt counts once. */
export function usageOf(choices: readonly Choice[], { written }: ReadyQuestion): Usage {
  const prompt = written.ids.length;
  const completion = choices.reduce((sum, { generation }) => sum + generation.ids.length, 0);
  const cached = Math.min(...choices.map(({ generation }) => generation.cachedTokens));
  const image = written.imageRuns.reduce((sum, { length }) => sum + length, 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached, image_tokens: image },
  };
}
