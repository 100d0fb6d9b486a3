// Structured output: a reply asked for as JSON of a given shape, and held to that shape whatever the endpoint promises.
import { z } from "zod";
import { BugError } from "../errors.ts";
import type { ChatRequest } from "../endpoint/wire.ts";
import type { ReplyForm, TeacherKind } from "./kind.ts";
import { parseReply, type QuestionAnswer } from "./parse.ts";

/** Why a reply that should be JSON could not be read. */
export type StructuredReason = "not json" | "schema";

const text = z.string().trim().min(1);
const pair = z.strictObject({ question: text, answer: text });
const shapes = {
  turns: z.strictObject({ turns: z.array(pair).min(1) }),
  pair,
  answer: z.strictObject({ answer: text }),
};

/** Added to a kind's prompt, whose own words describe the plain form. */
export const structuredForm =
  "Put what the form above asks for into JSON, as in the examples, and write nothing but the JSON.";

const plainText = { type: "string" };
const plainPair = objectOf({ question: plainText, answer: plainText });
const schemas: Readonly<Record<ReplyForm, Readonly<Record<string, unknown>>>> = {
  turns: objectOf({ turns: { type: "array", items: plainPair } }),
  pair: plainPair,
  answer: objectOf({ answer: plainText }),
};

/** Strict mode wants every field required and no others; lengths are checked here alone. */
function objectOf(properties: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** What the request carries as `response_format`. */
export function schemaOf({ name, reply }: Pick<TeacherKind, "name" | "reply">): NonNullable<ChatRequest["schema"]> {
  return { name, schema: schemas[reply] };
}

/** An example's reply in the plain form, as the JSON that is asked for. */
export function replyAsJson(reply: string, kind: Pick<TeacherKind, "name" | "reply">): string {
  const pairs = parseReply(reply, kind.reply, "");
  if (typeof pairs === "string") {
    throw new BugError("EXAMPLE_FORM", { expected: "an example in the kind's form", got: pairs, where: kind.name });
  }
  const [first] = pairs;
  if (kind.reply === "turns") return JSON.stringify({ turns: pairs });
  return JSON.stringify(kind.reply === "pair" ? first : { answer: first?.answer });
}

/** The pairs of a reply in JSON, or the reason why there are none. */
export function parseStructured(
  reply: string,
  form: ReplyForm,
  question: string,
): readonly QuestionAnswer[] | StructuredReason {
  let json: unknown;
  try {
    json = JSON.parse(reply);
  } catch {
    return "not json";
  }
  if (form === "turns") {
    const parsed = shapes.turns.safeParse(json);
    return parsed.success ? parsed.data.turns : "schema";
  }
  if (form === "pair") {
    const parsed = shapes.pair.safeParse(json);
    return parsed.success ? [parsed.data] : "schema";
  }
  const parsed = shapes.answer.safeParse(json);
  return parsed.success ? [{ question, answer: parsed.data.answer }] : "schema";
}
