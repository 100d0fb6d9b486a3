// One question, one answer (or the best of several), and out.
import type { AnswerOptions, Assistant, Picture } from "../../generate/assistant.ts";
import { userTurn } from "../../generate/assistant.ts";
import { createChat } from "../../generate/chat.ts";
import { bestAnswers } from "../../generate/n-best.ts";
import { textTurn } from "../../text/conversation.ts";
import { harmless } from "../harmless.ts";
import { Interrupted, interruptible } from "../interrupt.ts";
import { print, printJson } from "../output.ts";
import { log } from "../progress.ts";
import { type AnswerView, createMarkdownView, createPlainView } from "./answer-view.ts";
import { answerOptions, type ChatSettings, constraintsOf } from "./settings.ts";
import { showStats, startClock } from "./stats.ts";

export interface Question {
  readonly text: string;
  readonly pictures: readonly Picture[];
  readonly system: string | undefined;
}

export interface OnceOptions {
  readonly settings: ChatSettings;
  /** answers to give, the likeliest first; undefined: one, as it comes */
  readonly n: number | undefined;
  readonly json: boolean;
  /** no Markdown */
  readonly plain: boolean;
}

/** Answers and prints. Throws `Interrupted` after an answer that was stopped, and as `answerTurns`. */
export async function answerOnce(assistant: Assistant, question: Question, options: OnceOptions): Promise<void> {
  const { settings, n, json } = options;
  if (n !== undefined) return answerMany(assistant, question, { ...options, n });
  const view = json ? undefined : viewOf(options);
  const clock = startClock();
  const drawn: AnswerOptions = { ...answerOptions(settings, assistant.tokenizer), onChoice: clock.tick };
  const session = createChat(assistant, question.system);
  const answer = await interruptible((signal) =>
    session.ask(question.text, question.pictures, { ...drawn, signal, onText: (text) => view?.push(text) }),
  ).finally(() => view?.end());
  if (json) printJson(answer);
  else if (answer.text === "") print("");
  if (settings.stats) log(showStats(clock.stop(answer)));
  if (answer.finish_reason === "interrupted") throw new Interrupted("interrupted");
}

function viewOf({ settings, plain }: OnceOptions): AnswerView {
  const { stdout } = process;
  const markdown = stdout.isTTY && !plain && settings.schema === undefined;
  return markdown ? createMarkdownView(stdout, { colour: stdout.getColorDepth() > 1 }) : createPlainView(stdout);
}

async function answerMany(
  assistant: Assistant,
  { text, pictures, system }: Question,
  { settings, n, json }: OnceOptions & { readonly n: number },
): Promise<void> {
  const lead = system === undefined ? [] : [textTurn("system", system)];
  const turns = [...lead, userTurn(text, pictures.length)];
  const constraints = constraintsOf(settings, assistant.tokenizer);
  const { constraint: _, ...drawn } = answerOptions(settings, assistant.tokenizer);
  const started = performance.now();
  const answers = await interruptible((signal) =>
    bestAnswers(assistant, turns, pictures, { ...drawn, n, signal, constraint: () => constraints?.start() }),
  );
  if (json) printJson({ ...answers[0], choices: answers });
  else
    print(answers.map((answer, i) => `${i + 1}. (${answer.logprob.toFixed(2)}) ${harmless(answer.text)}`).join("\n"));
  if (settings.stats) {
    const tokens = answers.reduce((sum, answer) => sum + answer.completion_tokens, 0);
    const rate = (tokens * 1000) / (performance.now() - started);
    log(`${tokens} tokens of ${n} answers, ${rate.toPrecision(3)} a second, the prompt's time included`);
  }
  if (answers.some((answer) => answer.finish_reason === "interrupted")) throw new Interrupted("interrupted");
}
