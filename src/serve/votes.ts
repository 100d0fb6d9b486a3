// POST /v1/votes: which of two answers a reader found better, as a JSON line that is on disk before it is confirmed.
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { type VoteLine, votes as kinds } from "../evaluate/votes/line.ts";
import { appendText, flushFile, writeFailure } from "../formats/node.ts";
import { chatSchema } from "./chat-schema.ts";
import { findModel, type ServedModel } from "./models.ts";

const side = z.object({
  model: z.string().describe("a name of /v1/models"),
  settings: chatSchema
    .pick({ temperature: true, top_p: true, top_k: true, min_p: true, repetition_penalty: true })
    .extend(chatSchema.pick({ seed: true, max_tokens: true, max_completion_tokens: true }).shape)
    .strict()
    .prefault({})
    .describe("what it was asked with besides the messages"),
  system: z.string().optional().describe("its system prompt"),
});

export const voteSchema = z.object({
  vote: z.enum(kinds).describe("a or b: that answer is better; tie: they are alike; both_bad: neither is any good"),
  blind: z.boolean().default(false).describe("the reader did not know which model gave which answer"),
  a: side.describe("whose answer stood at the left, or first"),
  b: side,
  messages: chatSchema.shape.messages.describe("what both were asked; kept as a hash unless the server was told to"),
  answers: z
    .object({ a: z.string(), b: z.string() })
    .optional()
    .describe("kept only where the server was told to keep conversations"),
});

type VoteRequest = z.infer<typeof voteSchema>;

/** A file that votes are added to. */
export interface VoteBook {
  /** Resolves when the vote is on disk. Throws as `appendText`. */
  add(vote: VoteRequest): Promise<VoteLine>;
}

interface BookOptions {
  /** words and pictures are written, too, not only their hash */
  readonly conversations: boolean;
}

/**
 * Opens a file of votes, or begins one; what it holds stays. Throws `VOTES_FILE` where it holds something else, and as
 * `appendText`.
 */
export async function openVotes(path: string, { conversations }: BookOptions): Promise<VoteBook> {
  // here rather than at the first vote: a path that cannot be written to is told at once
  await appendText(path, "");
  let torn = await endsTorn(path);
  const write = async (line: object): Promise<void> => {
    const text = `${torn ? "\n" : ""}${JSON.stringify(line)}\n`;
    // a line that a full disk cuts must not take the next one with it
    torn = true;
    await appendText(path, text);
    await flushFile(path);
    torn = false;
  };
  // one after the other, so that no two lines meet
  let last: Promise<unknown> = Promise.resolve();
  return {
    add: async (vote) => {
      const line = lineOf(vote, conversations);
      const written = last.then(() => write({ ...line, ...(conversations && wordsOf(vote)) }));
      last = written.catch(() => undefined);
      await written;
      return line;
    },
  };
}

/** Adds a vote about served models. Throws `MODEL_NOT_FOUND`, and as `VoteBook.add`. */
export async function takeVote(vote: VoteRequest, models: readonly ServedModel[], book: VoteBook): Promise<object> {
  for (const { model } of [vote.a, vote.b]) findModel(models, model);
  const { time, conversation } = await book.add(vote);
  return { object: "vote", time, conversation };
}

function lineOf({ vote, blind, a, b, messages }: VoteRequest, conversations: boolean): VoteLine {
  const contender = ({ model, settings, system }: VoteRequest["a"]): VoteLine["a"] => {
    const set = Object.entries(settings).filter((entry): entry is [string, number] => entry[1] != null);
    const prompt = system !== undefined && system !== "" && { system: conversations ? system : hashOf(system) };
    return { model, settings: Object.fromEntries(set), ...prompt };
  };
  const time = new Date().toISOString();
  return { time, vote, blind, a: contender(a), b: contender(b), conversation: hashOf(JSON.stringify(messages)) };
}

function wordsOf({ messages, answers }: VoteRequest): object {
  return { messages, ...(answers && { answers }) };
}

function hashOf(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** Whether the last line lacks its end. Throws `VOTES_FILE` where the file does not begin as JSON lines do. */
async function endsTorn(path: string): Promise<boolean> {
  const file = await open(path, "r").catch((cause: unknown) => {
    throw writeFailure(path, cause);
  });
  try {
    const { size } = await file.stat();
    if (size === 0) return false;
    const byte = async (at: number): Promise<string> =>
      String.fromCharCode((await file.read(Buffer.alloc(1), 0, 1, at)).buffer[0]!);
    if ((await byte(0)) === "{") return (await byte(size - 1)) !== "\n";
  } finally {
    await file.close();
  }
  const fix = "name a new file, or one that llava serve has written";
  throw new InputError("VOTES_FILE", { expected: "a file of votes", got: "something else", where: path, fix });
}
