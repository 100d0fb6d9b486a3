// `llava chat`: one answer, a file of questions, or a conversation in the terminal.
import { type Command, Option } from "commander";
import { InputError } from "../errors.ts";
import type { Assistant, Picture } from "../generate/assistant.ts";
import type { WeightForm } from "../generate/block-files-node.ts";
import { createChat } from "../generate/chat.ts";
import { checkMany } from "../generate/n-best.ts";
import { readChatPicture } from "../generate/node.ts";
import { withAssistant } from "./assistant.ts";
import { answerBatch } from "./chat/batch.ts";
import { openPipe } from "./chat/desk.ts";
import { type Graphics, graphicsKinds } from "./chat/graphics.ts";
import { type Asked, askedOf, readNamedPicture, readQuestion } from "./chat/input.ts";
import { answerOnce } from "./chat/once.ts";
import {
  addAnsweringOptions,
  type AnsweringFlags,
  type ChatSettings,
  constraintsOf,
  settingsOf,
} from "./chat/settings.ts";
import { Talk } from "./chat/talk.ts";
import { openTerminal } from "./chat/terminal.ts";
import { Interrupted } from "./interrupt.ts";
import { addVerb, collect, weightsOption, wholeNumber } from "./options.ts";

interface Options extends AnsweringFlags {
  readonly image?: readonly string[];
  readonly prompt?: string;
  readonly n?: number;
  readonly batch?: string;
  readonly images?: string;
  readonly template?: string;
  readonly adapter?: string;
  readonly system?: string;
  readonly weights: WeightForm;
  readonly threads?: number;
  readonly plain?: boolean;
  readonly preview?: Graphics;
  readonly history: boolean;
  readonly json?: boolean;
}

export function addChat(program: Command): void {
  const verb = addVerb(program, "chat <model> [words...]", "ask a model about pictures, or about anything")
    .usage("[options] <model> [picture...] [question]")
    .option("--image <file>", "show a picture with the first question; - reads it from stdin (repeatable)", collect)
    .option("--prompt <text>", "ask this, print the answer and exit, as a question after the model does; - reads stdin")
    .option("--batch <file>", "answer the questions in JSON lines, - for those on stdin, as JSON lines")
    .option("--images <folder>", "the folder of a batch's pictures (default: the file's own)")
    .option("--n <n>", "so many answers to each question, the likeliest first", wholeNumber(1, 64));
  addAnsweringOptions(verb)
    .option("--system <text>", "a message that leads the conversation")
    .option("--template <name>", "how the conversation is written (default: as the model was trained)")
    .option("--adapter <folder>", "a LoRA adapter of this model, in PEFT's format")
    .addOption(weightsOption())
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--plain", "answers as they are, without Markdown and previews")
    .addOption(
      new Option("--preview <kind>", "how pictures are shown (default: asks the terminal)").choices(graphicsKinds),
    )
    .option("--no-history", "keep nothing of what is typed")
    .option("--json", "print the answer as JSON")
    .action(chat);
}

async function chat(model: string, words: readonly string[], options: Options): Promise<void> {
  const asked = askedOf(words, options.image ?? [], options.prompt);
  refuseMixed(asked, options);
  const settings = await settingsOf(options);
  const { batch, images, system, n, json = false, plain = false } = options;
  if (n !== undefined) checkMany(n, settings.sampling);
  const pictures = await Promise.all(asked.pictures.map(readNamedPicture));
  const text = asked.question === undefined ? undefined : await readQuestion(asked.question);
  await withAssistant(model, options, (assistant) => {
    // a schema that cannot be held to is refused before anything is asked
    constraintsOf(settings, assistant.tokenizer);
    if (batch !== undefined) return answerBatch(assistant, { from: batch, images, system, settings, n });
    if (text !== undefined) return answerOnce(assistant, { text, pictures, system }, { settings, n, json, plain });
    return converse(model, assistant, { settings, pictures }, options);
  });
}

/** Throws `CHAT_OPTIONS` for what does not go together. */
function refuseMixed({ pictures, question }: Asked, { batch, images, n }: Options): void {
  const refuse = (expected: string, got: string): InputError => new InputError("CHAT_OPTIONS", { expected, got });
  if (batch !== undefined && (pictures.length > 0 || question !== undefined))
    throw refuse("the questions of --batch alone", "pictures or a question besides");
  if (batch === undefined && images !== undefined) throw refuse("--images together with --batch", "--images alone");
  if (batch === undefined && question === undefined && n !== undefined)
    throw refuse("--n together with a question or --batch", "--n alone");
  if (question === undefined && pictures.includes("-"))
    throw refuse("a question with a picture from stdin", "none, and stdin cannot hold both");
}

async function converse(
  model: string,
  assistant: Assistant,
  { settings, pictures }: { readonly settings: ChatSettings; readonly pictures: readonly Picture[] },
  { system, history, plain = false, preview, json = false }: Options,
): Promise<void> {
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const desk = terminal ? await openTerminal({ history, plain, preview }) : openPipe();
  const session = createChat(assistant, system);
  const talk = new Talk({ model, assistant, session, settings, pictures, readPicture: readChatPicture, json }, desk);
  try {
    await talk.run();
  } finally {
    desk.close();
  }
  if (desk.interrupted) throw new Interrupted("interrupted");
}
