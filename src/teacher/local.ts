// A model of ours as a teacher: answers on this machine, one request after the other, under the same ledger.
import type { Attempt } from "../endpoint/attempt.ts";
import type { ChatOptions, Endpoint } from "../endpoint/endpoint.ts";
import { failed } from "../endpoint/failure.ts";
import { free, mostTokens } from "../endpoint/price.ts";
import type { ChatReply, ChatRequest } from "../endpoint/wire.ts";
import { LlavaError } from "../errors.ts";
import { answerTurns, type Answer, type Assistant } from "../generate/assistant.ts";
import { textTurn } from "../text/conversation.ts";

/**
 * An endpoint that needs no network. What a model cannot take (a prompt longer than its context) fails with
 * `ENDPOINT_REFUSED`; the engine's own errors are thrown as they are.
 */
export function localEndpoint(assistant: Assistant, name: string): Endpoint {
  const url = `local:${name}`;
  let turn: Promise<unknown> = Promise.resolve();
  let load = 0;
  return {
    url,
    concurrency: 1,
    limit: 1,
    price: free,
    get load() {
      return load;
    },
    chat(request, options = {}) {
      load++;
      const mine = turn.then(() => answer(assistant, request, url, options)).finally(() => load--);
      turn = mine.catch(() => undefined);
      return mine;
    },
  };
}

async function answer(
  assistant: Assistant,
  request: ChatRequest,
  url: string,
  { signal, log }: ChatOptions,
): Promise<ChatReply> {
  signal?.throwIfAborted();
  const open = await log?.open({ url, model: request.model, price: free }, mostTokens(request));
  const started = performance.now();
  const close = (outcome: Attempt["outcome"], body = ""): Promise<void> | undefined =>
    open?.close({ outcome, doubt: false, body, ms: Math.round(performance.now() - started), rate: noSignals });
  try {
    const turns = request.messages.map(({ role, content }) => textTurn(role, content));
    const { maxTokens: maxNewTokens, temperature = 0, topP, seed } = request;
    const sampling = { temperature, ...(topP === undefined ? {} : { topP }), ...(seed === undefined ? {} : { seed }) };
    const said = await answerTurns(assistant, turns, [], { maxNewTokens, signal, ...sampling });
    signal?.throwIfAborted();
    const reply = replyOf(said, request.model);
    await close(reply, bodyOf(reply));
    return reply;
  } catch (error) {
    if (!(error instanceof LlavaError) || error.exitCode !== 2) {
      await open?.close(undefined);
      throw error;
    }
    const failure = { code: "ENDPOINT_REFUSED" as const, got: error.message, retry: false, cause: error };
    await close(failure);
    throw failed(failure, url, 1);
  }
}

const noSignals = { requests: {}, tokens: {} };

function replyOf({ text, finish_reason, prompt_tokens, completion_tokens }: Answer, model: string): ChatReply {
  const usage = { promptTokens: prompt_tokens, completionTokens: completion_tokens };
  return { text: text.trim(), finishReason: finish_reason, usage, model };
}

/** As an endpoint would have sent it: the ledger's answers are read in one way. */
function bodyOf({ text, finishReason, usage, model }: ChatReply): string {
  return JSON.stringify({
    model,
    choices: [{ finish_reason: finishReason, message: { content: text } }],
    usage: { prompt_tokens: usage?.promptTokens, completion_tokens: usage?.completionTokens },
  });
}
