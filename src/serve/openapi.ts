// GET /openapi.json: the routes and their bodies, made from the schemas that requests are checked with.
import { z } from "zod";
import { attentionSchema } from "./attention.ts";
import { chatSchema } from "./chat-schema.ts";
import { responsesSchema } from "./responses-schema.ts";
import { tokenizeSchema } from "./tokenize.ts";
import { voteSchema } from "./votes.ts";

const jsonSchema = (schema: z.ZodType): object => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
};

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type", "param", "code"],
      properties: {
        message: { type: "string" },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: "string" },
      },
    },
  },
};

const refusal = { description: "refused", content: { "application/json": { schema: errorSchema } } };
const answer = (description: string, type = "application/json"): object => ({
  "200": { description, content: { [type]: {} } },
  default: refusal,
});
const get = (summary: string, type?: string): object => ({ get: { summary, responses: answer(summary, type) } });
const post = (summary: string, schema: z.ZodType): object => ({
  post: {
    summary,
    requestBody: { required: true, content: { "application/json": { schema: jsonSchema(schema) } } },
    responses: answer("the answer; with stream: true server-sent events"),
  },
});

/** Every route with its description. */
export const routes: Readonly<Record<string, object>> = {
  "/v1/chat/completions": post("Answer a conversation with pictures", chatSchema),
  "/v1/responses": post("Answer an input with pictures, without keeping it", responsesSchema),
  "/v1/attention": post("What each token of an answer looked at", attentionSchema),
  "/v1/votes": post("Keep which of two answers was found better; 404 unless the server was told where", voteSchema),
  "/v1/models": get("The models there are, and whether votes are taken"),
  "/v1/models/{model}": {
    ...get("One model"),
    parameters: [{ name: "model", in: "path", required: true, schema: { type: "string" } }],
  },
  "/tokenize": post("Tokens of a text or a conversation", tokenizeSchema),
  "/health": { get: { summary: "Whether it answers", security: [], responses: answer("it does") } },
  "/metrics": get("Measurements for Prometheus", "text/plain"),
  "/openapi.json": get("This description"),
};

/** The description of all routes in OpenAPI 3.1. */
export function openApi(version: string): object {
  return {
    openapi: "3.1.0",
    info: { title: "llava serve", version, description: "An OpenAI-compatible server of vision-language models." },
    security: [{ key: [] }],
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    paths: routes,
  };
}
