// POST /tokenize: what a text or a conversation costs in tokens, before it is asked.
import { z } from "zod";
import { writeTurns } from "../generate/assistant.ts";
import { chatSchema } from "./chat-schema.ts";
import { turnsOfMessages } from "./messages.ts";
import { contextOf, findModel, type ServedModel } from "./models.ts";
import { type Kitchen, readyPictures } from "./pictures.ts";

const model = chatSchema.shape.model;

export const tokenizeSchema = z.union([
  z.object({ model, prompt: z.string().describe("plain text") }),
  z.object({ model, content: z.string().describe("plain text, as llama.cpp's server calls it") }),
  z.object({ model, messages: chatSchema.shape.messages.describe("a conversation, written as the model reads it") }),
]);

/** Ids of a request's words; in a conversation pictures stand as the model's picture token, as often as it sees them. */
export async function tokenize(
  request: z.infer<typeof tokenizeSchema>,
  models: readonly ServedModel[],
  salt: string | undefined,
  kitchen: Kitchen,
  signal: AbortSignal,
): Promise<object> {
  const served = findModel(models, request.model);
  const { assistant } = served;
  const tell = (tokens: readonly number[]): object => ({
    model: served.name,
    count: tokens.length,
    max_model_len: contextOf(served),
    tokens,
  });
  if ("prompt" in request) return tell(assistant.tokenizer.encode(request.prompt));
  if ("content" in request) return tell(assistant.tokenizer.encode(request.content));
  const { turns, pictures } = turnsOfMessages(request.messages);
  const ready = await readyPictures(pictures, { model: served, salt }, kitchen, signal);
  const views = ready.map(({ count }) => count);
  return tell([...writeTurns(assistant, turns, views).ids]);
}
