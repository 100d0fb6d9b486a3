// The body of POST /v1/chat/completions, as OpenAI's API reference describes it; what would be ignored silently is refused.
import { z } from "zod";
import { type SamplingName, samplingRanges } from "../generate/sampling-options.ts";

const text = z.object({ type: z.literal("text"), text: z.string() });
const imageUrl = z
  .object({
    type: z.literal("image_url"),
    image_url: z.object({
      url: z.string().describe("a data: URL; http(s) only where the server allows it"),
      detail: z.enum(["auto", "low", "high"]).default("auto").describe("low: the whole picture alone, without tiles"),
    }),
  })
  .describe("a picture: JPEG, PNG, WebP or GIF (first frame)");
const texts = z.union([z.string(), z.array(text)]);

const message = z.discriminatedUnion("role", [
  z.object({ role: z.literal("system"), content: texts }),
  z.object({ role: z.literal("developer"), content: texts }),
  z.object({ role: z.literal("user"), content: z.union([z.string(), z.array(z.union([text, imageUrl]))]) }),
  z.object({ role: z.literal("assistant"), content: texts.nullish() }),
]);

/** What an answer may be held to. */
export const formatSchema = z
  .discriminatedUnion("type", [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object") }),
    z.object({
      type: z.literal("json_schema"),
      json_schema: z.object({ schema: z.record(z.string(), z.unknown()), name: z.string().optional() }),
    }),
  ])
  .describe("json_schema: tokens that would break the schema cannot be chosen");

/** Fields of OpenAI's that would change the answer and that no model here can heed: only their neutral value passes. */
const neutral = {
  frequency_penalty: z.literal(0).nullish(),
  presence_penalty: z.literal(0).nullish(),
  logit_bias: z.object({}).strict().nullish(),
  tools: z.array(z.never()).nullish(),
  tool_choice: z.enum(["none", "auto"]).nullish(),
  functions: z.array(z.never()).nullish(),
  modalities: z.array(z.literal("text")).nullish(),
  audio: z.null().optional(),
  // templates are code: only those of the models are run
  chat_template: z.never().optional(),
  chat_template_kwargs: z.never().optional(),
};

export const samplingFields = {
  temperature: samplingField("temperature"),
  top_p: samplingField("topP"),
  top_k: samplingField("topK"),
  min_p: samplingField("minP"),
  repetition_penalty: samplingField("repetitionPenalty"),
  seed: samplingField("seed"),
};

function samplingField(name: SamplingName) {
  const { least, open, most, whole, meaning } = samplingRanges[name];
  const number: z.ZodNumber = whole ? z.int() : z.number();
  return (open ? number.gt(least) : number.min(least)).max(most).nullish().describe(meaning);
}

export const chatSchema = z.object({
  model: z.string().optional().describe("a name of /v1/models; the first one where absent"),
  messages: z.array(message).min(1).max(1000),
  ...samplingFields,
  max_completion_tokens: z.int().min(1).nullish(),
  max_tokens: z.int().min(1).nullish().describe("older name of max_completion_tokens"),
  n: z.int().min(1).nullish(),
  stop: z
    .union([z.string().min(1).max(1000), z.array(z.string().min(1).max(1000)).max(4)])
    .nullish()
    .describe("texts that end the answer and are not part of it"),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: formatSchema.nullish(),
  ...neutral,
});

export type ChatRequest = z.infer<typeof chatSchema>;
export type ChatMessage = ChatRequest["messages"][number];
