// The wire format: what a chat request and its reply look like in OpenAI's Chat Completions API.
import { z } from "zod";
import { BugError } from "../errors.ts";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
  /** addresses of pictures that stand before the words: `data:` URLs when it is sent */
  readonly pictures?: readonly string[];
}

/** The longer side of pictures that are sent, in pixels: what endpoints look at with low detail. */
export const pictureSide = 512;

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  /** most tokens of the answer */
  readonly maxTokens: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  /** asks for JSON of this shape (structured output); endpoints may ignore it */
  readonly schema?: { readonly name: string; readonly schema: Readonly<Record<string, unknown>> };
}

/** Tokens as the endpoint counted them. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** of `promptTokens`, those that the endpoint had in its cache */
  readonly cachedTokens?: number;
}

export interface ChatReply {
  readonly text: string;
  /** "stop", "length", "content_filter", or what the endpoint says; "unknown" when it says nothing */
  readonly finishReason: string;
  /** the model's own words when it declined */
  readonly refusal?: string;
  /** undefined when the endpoint does not count */
  readonly usage?: Usage;
  /** the model that answered, as the endpoint names it */
  readonly model?: string;
}

/** The two names of the limit: the old one that local servers know, the new one that newer OpenAI models insist on. */
export type LimitField = "max_tokens" | "max_completion_tokens";

/** The body of a request, keys in a fixed order so that equal requests have equal bytes. */
export function encodeRequest(request: ChatRequest, limitField: LimitField): string {
  return JSON.stringify(requestBody(request, limitField));
}

/** The same as an object, for a line of a batch. */
export function requestBody(request: ChatRequest, limitField: LimitField): Readonly<Record<string, unknown>> {
  const { model, messages, maxTokens, temperature, topP, seed, schema } = request;
  return {
    model,
    messages: messages.map(messageBody),
    [limitField]: maxTokens,
    temperature,
    top_p: topP,
    seed,
    ...(schema === undefined
      ? {}
      : { response_format: { type: "json_schema", json_schema: { ...schema, strict: true } } }),
    stream: false,
  };
}

function messageBody({ role, content, pictures }: ChatMessage): Readonly<Record<string, unknown>> {
  if (pictures === undefined) return { role, content };
  const parts = pictures.map((url) => ({ type: "image_url", image_url: { url, detail: "low" } }));
  return { role, content: [...parts, { type: "text", text: content }] };
}

const tokens = z.number().int().nonnegative();

const completion = z.object({
  model: z.string().max(200).nullish(),
  choices: z
    .array(
      z.object({
        finish_reason: z.string().max(100).nullish(),
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
      }),
    )
    .min(1),
  usage: z
    .object({
      prompt_tokens: tokens,
      completion_tokens: tokens.nullish(),
      prompt_tokens_details: z.object({ cached_tokens: tokens.nullish() }).nullish(),
    })
    .nullish(),
});

const problem = z.object({
  error: z.union([
    z.string(),
    z.object({
      message: z.string().nullish(),
      code: z.union([z.string(), z.number()]).nullish(),
      type: z.string().nullish(),
    }),
  ]),
});

/** The reply in a body, or what is wrong with it as a phrase. */
export function decodeReply(body: unknown): ChatReply | string {
  const parsed = completion.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return `JSON that is no chat completion (${issue?.path.join(".") || "whole body"}: ${issue?.message ?? "wrong"})`;
  }
  const { choices, usage, model } = parsed.data;
  const choice = choices[0];
  if (choice === undefined) return "a chat completion without a choice";
  const { content, refusal } = choice.message;
  return {
    text: content ?? "",
    finishReason: choice.finish_reason ?? "unknown",
    ...(refusal ? { refusal } : {}),
    ...(usage ? { usage: usageOf(usage) } : {}),
    ...(model ? { model } : {}),
  };
}

function usageOf(usage: NonNullable<z.infer<typeof completion>["usage"]>): Usage {
  const cachedTokens = usage.prompt_tokens_details?.cached_tokens;
  const counted = { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens ?? 0 };
  return cachedTokens ? { ...counted, cachedTokens } : counted;
}

/** The reply in a body that was kept because it held one. */
export function replyIn(body: string): ChatReply {
  const reply = decodeReply(JSON.parse(body) as unknown);
  if (typeof reply !== "string") return reply;
  throw new BugError("REPLY_KEPT", { expected: "a body that was read before", got: reply });
}

/** What an error body says; undefined when the body is no error body. */
export function decodeProblem(body: unknown): { message: string; code: string } | undefined {
  const parsed = problem.safeParse(body);
  if (!parsed.success) return undefined;
  const { error } = parsed.data;
  if (typeof error === "string") return { message: error, code: "" };
  // servers put the telling word into either field
  return { message: error.message ?? "", code: `${error.code ?? ""} ${error.type ?? ""}`.trim() };
}
