// What the page says to the server: OpenAI's routes, and those for attention and votes.
import { createParser } from "eventsource-parser";
import type { Picture, Question, Turn } from "./conversation.ts";
import type { Settings } from "./settings.ts";

/** A refusal in the server's words, or a server that cannot be reached. */
export class WireError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Model {
  readonly id: string;
  readonly vision: boolean;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens: number; readonly image_tokens: number };
}

export interface Finished {
  readonly reason: "stop" | "length";
  readonly usage: Usage | undefined;
}

/** A picture's view as the tower got it, and the grid of patches in it. */
export interface ShownView {
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly rows: number;
  readonly columns: number;
}

export interface Attention {
  readonly layers: readonly number[];
  readonly model_layers: number;
  readonly model_heads: number;
  readonly pictures: readonly { readonly views: readonly ShownView[] }[];
  /** weights by picture, view and patch */
  readonly tokens: readonly { readonly text: string; readonly weights: readonly (readonly (readonly number[])[])[] }[];
}

export interface Ask {
  readonly key: string;
  readonly signal?: AbortSignal;
}

/** The models there are, and whether the server takes votes. Throws `WireError`. */
export async function listModels({ key, signal }: Ask): Promise<{ models: Model[]; votes: boolean }> {
  const response = await send("v1/models", { key, ...(signal && { signal }) });
  const { data, votes = false } = (await response.json()) as { data: Model[]; votes?: boolean };
  return { models: data, votes };
}

/**
 * Asks for an answer to the last turn and tells its text as it comes. Throws `WireError`, and the signal's reason.
 * A stream that ends without saying so was cut off.
 */
export async function streamAnswer(
  turns: readonly Turn[],
  { model, settings }: { readonly model: string; readonly settings: Settings },
  ask: Ask,
  onText: (text: string) => void,
): Promise<Finished> {
  const response = await send("v1/chat/completions", ask, {
    model,
    messages: messagesOf(turns, settings),
    stream: true,
    stream_options: { include_usage: true },
    ...samplingOf(settings),
  });
  let reason: Finished["reason"] | undefined;
  let usage: Usage | undefined;
  let ended = false;
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === "[DONE]") return void (ended = true);
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new WireError(500, chunk.error.message);
      usage = chunk.usage ?? usage;
      const [choice] = chunk.choices ?? [];
      reason = choice?.finish_reason ?? reason;
      if (choice?.delta?.content) onText(choice.delta.content);
    },
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parser.feed(value);
  }
  if (!ended) throw new WireError(0, "The line was cut in mid-answer.");
  return { reason: reason ?? "stop", usage };
}

interface Chunk {
  readonly error?: { readonly message: string };
  readonly usage?: Usage | null;
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string };
    readonly finish_reason?: Finished["reason"] | null;
  }[];
}

/** What an answer looked at, mean over layers and heads: all of them where absent. Throws `WireError`, and the signal's reason. */
export async function readAttention(
  turns: readonly Turn[],
  { model, settings }: { readonly model: string; readonly settings: Settings },
  {
    layers,
    heads,
  }: { readonly layers?: readonly number[] | undefined; readonly heads?: readonly number[] | undefined },
  ask: Ask,
): Promise<Attention> {
  const messages = messagesOf(turns, settings);
  const body = { model, messages, ...(layers && { layers }), ...(heads && { heads }) };
  return (await (await send("v1/attention", ask, body)).json()) as Attention;
}

/** Which of two answers is better: the one at the left, the one at the right, neither, or neither is any good. */
export type Vote = "a" | "b" | "tie" | "both_bad";

export interface GivenVote {
  readonly vote: Vote;
  readonly blind: boolean;
  readonly question: Question;
  readonly a: Voted;
  readonly b: Voted;
}

interface Voted {
  readonly settings: Settings;
  readonly text: string;
}

/** Tells the server a vote; it is kept when this resolves. Throws `WireError`. */
export async function sendVote({ vote, blind, question, a, b }: GivenVote, ask: Ask): Promise<void> {
  const side = ({ settings }: Voted): object => ({
    model: settings.model,
    settings: samplingOf(settings),
    ...(settings.system.trim() !== "" && { system: settings.system }),
  });
  // what both were asked: system prompts are settings, which may differ
  const messages = messagesOf([question], { system: "" });
  const answers = { a: a.text, b: b.text };
  await send("v1/votes", ask, { vote, blind, a: side(a), b: side(b), messages, answers });
}

/** Turns as messages; answers that never began are no part of what was said. */
function messagesOf(turns: readonly Turn[], { system }: Pick<Settings, "system">): object[] {
  const spoken = turns.filter(({ role, text }) => role === "user" || text !== "");
  const said = spoken.map((turn) =>
    turn.role === "assistant"
      ? { role: "assistant", content: turn.text }
      : {
          role: "user",
          content: [
            ...turn.pictures.map(picturePart),
            ...(turn.text === "" ? [] : [{ type: "text", text: turn.text }]),
          ],
        },
  );
  return system.trim() === "" ? said : [{ role: "system", content: system }, ...said];
}

function picturePart({ url }: Picture): object {
  return { type: "image_url", image_url: { url } };
}

/** What differs from the server's own way alone. */
function samplingOf({ temperature, topP, topK, minP, repetitionPenalty, seed, maxTokens }: Settings): object {
  return {
    temperature,
    max_tokens: maxTokens,
    ...(temperature > 0 && { top_p: topP, min_p: minP, ...(topK !== null && { top_k: topK }) }),
    ...(repetitionPenalty !== 1 && { repetition_penalty: repetitionPenalty }),
    ...(seed !== null && { seed }),
  };
}

async function send(path: string, { key, signal }: Ask, body?: object): Promise<Response> {
  const headers: Record<string, string> = {};
  if (key !== "") headers["authorization"] = `Bearer ${key}`;
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(new URL(path, document.baseURI), {
    method: body ? "POST" : "GET",
    headers,
    ...(body && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw new WireError(
      0,
      `The server cannot be reached. ${error instanceof TypeError ? "Is llava serve running?" : ""}`,
    );
  });
  if (response.ok) return response;
  const refused = (await response.json().catch(() => undefined)) as { error?: { message?: string } } | undefined;
  throw new WireError(response.status, refused?.error?.message ?? `The server answered ${response.status}.`);
}
