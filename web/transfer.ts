// Conversations out as one JSON file and in again; what comes in may have been made by anyone.
import { z } from "zod/mini";
import { type Conversation, endCutAnswers, pathTo } from "./conversation.ts";

const format = "llava-ts conversations";
const text = z.string().check(z.maxLength(1_000_000));
const id = z.string().check(z.regex(/^[0-9a-f-]{36}$/));
const time = z.number().check(z.minimum(0));

const base = { id, parent: z.nullable(id), text, created: time };
const picture = z.object({
  url: z.string().check(z.regex(/^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+=*$/)),
  name: z.string().check(z.maxLength(1000)),
  width: z.int().check(z.minimum(1)),
  height: z.int().check(z.minimum(1)),
});
const count = z.number().check(z.minimum(0));
const cost = z.object({
  promptTokens: count,
  cachedTokens: count,
  imageTokens: count,
  answerTokens: count,
  firstMs: count,
  restMs: count,
});
const turn = z.discriminatedUnion("role", [
  z.object({ ...base, role: z.literal("user"), pictures: z.array(picture) }),
  z.object({
    ...base,
    role: z.literal("assistant"),
    state: z.enum(["streaming", "complete", "length", "stopped", "cut", "failed"]),
    model: z.string(),
    cost: z.optional(cost),
    problem: z.optional(text),
  }),
]);
const conversation = z.object({
  id,
  title: z.string().check(z.maxLength(1000)),
  created: time,
  updated: time,
  turns: z.record(id, turn),
  leaf: z.nullable(id),
});
const file = z.object({ format: z.literal(format), version: z.literal(1), conversations: z.array(conversation) });

/** The content of an export file. */
export function exportText(conversations: readonly Conversation[]): string {
  return JSON.stringify({ format, version: 1, conversations }, null, 1);
}

/** Reads an export file. Throws an Error whose message says what is wrong. */
export function importText(content: string): Conversation[] {
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch {
    throw new Error("This is no JSON file.");
  }
  const result = z.safeParse(file, json);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw new Error(`This is no file of conversations: ${issue.path.join(".") || "the whole"}: ${issue.message}`);
  }
  result.data.conversations.forEach(checkTree);
  return result.data.conversations.map((one) => endCutAnswers(one));
}

/** Every turn leads back to a first one, question and answer in turn. */
function checkTree(one: Conversation): void {
  const fail = (what: string): never => {
    throw new Error(`The conversation “${one.title.slice(0, 60)}” is damaged: ${what}.`);
  };
  if (one.leaf !== null && one.turns[one.leaf] === undefined) fail("its last turn is missing");
  for (const [key, { id: own, parent, role }] of Object.entries(one.turns)) {
    if (key !== own) fail("a turn has two names");
    const before = parent === null ? undefined : one.turns[parent];
    if (parent !== null && before === undefined) fail("a turn is missing");
    if ((before?.role ?? "assistant") === role) fail("one side speaks twice");
  }
  const sound = new Set<string>();
  for (const key of Object.keys(one.turns)) {
    const seen = new Set<string>();
    for (let at: string | null = key; at !== null && !sound.has(at); at = one.turns[at]!.parent) {
      if (seen.has(at)) fail("its turns go round in a circle");
      seen.add(at);
    }
    for (const each of seen) sound.add(each);
  }
  pathTo(one, one.leaf);
}
