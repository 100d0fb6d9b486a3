// The body of POST /v1/responses as far as it is heeded, and how it becomes messages.
import { z } from "zod";
import { type ChatMessage, type ChatRequest, samplingFields } from "./chat-schema.ts";
import type { FieldName } from "./messages.ts";

const text = z.object({ type: z.enum(["input_text", "output_text"]), text: z.string() });
const image = z.object({
  type: z.literal("input_image"),
  image_url: z.string().describe("a data: URL; http(s) only where the server allows it"),
  detail: z.enum(["auto", "low", "high"]).default("auto"),
});
const item = z.object({
  type: z.literal("message").optional(),
  role: z.enum(["user", "assistant", "system", "developer"]),
  content: z.union([z.string(), z.array(z.union([text, image]))]),
});

export const responsesSchema = z.object({
  model: z.string().optional().describe("a name of /v1/models; the first one where absent"),
  input: z.union([z.string(), z.array(item).min(1).max(1000)]),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  ...samplingFields,
  stream: z.boolean().nullish(),
  // nothing is kept here: a conversation is sent whole each time
  previous_response_id: z.null().optional(),
  conversation: z.null().optional(),
  background: z.literal(false).nullish(),
  tools: z.array(z.never()).nullish(),
  text: z
    .object({
      format: z
        .discriminatedUnion("type", [
          z.object({ type: z.literal("text") }),
          z.object({ type: z.literal("json_object") }),
          z.object({ type: z.literal("json_schema"), schema: z.record(z.string(), z.unknown()), name: z.string() }),
        ])
        .optional(),
    })
    .nullish(),
});

export type ResponsesRequest = z.infer<typeof responsesSchema>;

/** The input as chat messages, instructions first. */
export function messagesOf({ input, instructions }: ResponsesRequest): ChatMessage[] {
  const lead: ChatMessage[] = instructions == null ? [] : [{ role: "system", content: instructions }];
  const items = typeof input === "string" ? [{ role: "user" as const, content: input }] : input;
  return [...lead, ...items.map(messageOf)];
}

/** What the answer is to be held to, as chat requests say it. */
export function formatOf({ text: wanted }: ResponsesRequest): ChatRequest["response_format"] {
  const format = wanted?.format;
  return format?.type === "json_schema" ? { type: "json_schema", json_schema: format } : format;
}

/** What a message is called in such a request; instructions, when there are any, are message 0. */
export function responsesField({ instructions }: ResponsesRequest): FieldName {
  const before = instructions == null ? 0 : 1;
  return (message, part) => `input[${message - before}]${part === undefined ? "" : `.content[${part}].image_url`}`;
}

function messageOf({ role, content }: z.infer<typeof item>): ChatMessage {
  if (typeof content === "string") return { role, content };
  const parts = content.map((part) =>
    part.type === "input_image"
      ? { type: "image_url" as const, image_url: { url: part.image_url, detail: part.detail } }
      : { type: "text" as const, text: part.text },
  );
  if (role === "user") return { role, content: parts };
  // pictures in other mouths are refused where turns are checked
  return { role, content: parts as { type: "text"; text: string }[] };
}
