// `llava chat`: one answer, or a conversation in the terminal.
import type { Command } from "commander";
import type { Answer, AnswerOptions } from "../generate/assistant.ts";
import { createChat } from "../generate/chat.ts";
import { readChatPicture } from "../generate/node.ts";
import { withAssistant } from "./assistant.ts";
import { converse } from "./conversation.ts";
import { interruptible, Interrupted } from "./interrupt.ts";
import { addVerb, collect, decimal, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";

interface Options {
  readonly image?: readonly string[];
  readonly prompt?: string;
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly seed: number;
  readonly template?: string;
  readonly adapter?: string;
  readonly system?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export function addChat(program: Command): void {
  addVerb(program, "chat <model>", "ask a model about pictures, or about anything")
    .option("--image <file>", "show a picture with the first question (repeatable)", collect)
    .option("--prompt <text>", "ask this, print the answer and exit; without it, chat")
    .option("--temperature <t>", "0: always the likeliest word; higher: more varied", decimal(0, 100), 0)
    .option("--max-new-tokens <n>", "the longest answer", wholeNumber(1), 512)
    .option("--top-p <p>", "choose among the likeliest words that together reach p", decimal(1e-9, 1))
    .option("--top-k <k>", "choose among the k likeliest words", wholeNumber(1))
    .option("--seed <n>", "the same seed gives the same answers", wholeNumber(0), 0)
    .option("--template <name>", "how the conversation is written (default: as the model was trained)")
    .option("--adapter <folder>", "a LoRA adapter of this model, in PEFT's format")
    .option("--system <text>", "a message that leads the conversation")
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--json", "print the answer as JSON")
    .action(chat);
}

async function chat(model: string, options: Options): Promise<void> {
  const pictures = await Promise.all((options.image ?? []).map(readChatPicture));
  const { maxNewTokens, temperature, topK, topP, seed } = options;
  const sampling = { maxNewTokens, temperature, seed, ...(topK && { topK }), ...(topP && { topP }) };
  await withAssistant(model, options, async (assistant) => {
    const session = createChat(assistant, options.system);
    const { prompt } = options;
    if (prompt === undefined) return converse({ session, assistant, pictures, sampling, json: options.json ?? false });
    const answer = await interruptible((signal) =>
      session.ask(prompt, pictures, { ...sampling, signal, ...(options.json ? {} : { onText: write }) }),
    );
    finish(answer, options.json ?? false);
  });
}

const write: AnswerOptions["onText"] = (text) => void process.stdout.write(text);

function finish(answer: Answer, json: boolean): void {
  if (json) printJson(answer);
  else print("");
  if (answer.finish_reason === "interrupted") throw new Interrupted("interrupted");
}
