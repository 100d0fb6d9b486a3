// One evaluation of a stage: the held-out loss, the score on questions, and answers to look at.
import { answerTurns, type Assistant, userTurn } from "../generate/assistant.ts";
import { readChatPicture } from "../generate/node.ts";
import { RunError } from "../errors.ts";
import type { TrainEvent } from "./events.ts";
import { heldOutLoss } from "./held-out-loss.ts";
import type { SampleQuestion } from "./held-out.ts";
import { type LiveModel, openLiveAssistant } from "./live-assistant.ts";
import type { EvaluationMetrics, SampleAnswer } from "./metrics.ts";
import type { Questions } from "./questions.ts";
import type { StageData } from "./stage-data.ts";
import type { Stepper } from "./step.ts";

export interface EvaluationOptions extends Omit<LiveModel, "stage"> {
  readonly data: StageData;
  readonly questions: Questions | undefined;
  readonly stepper: Stepper;
  readonly emit: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

export type Findings = Pick<EvaluationMetrics, "held_out_loss" | "score" | "answers">;

/** Tokens of an answer that is only looked at. */
const longestAnswer = 64;

/** Looks at the model after `step`; changes nothing that training depends on. Rejects with the signal's reason. */
export async function evaluateStage(options: EvaluationOptions, step: number): Promise<Findings> {
  const { data, questions, signal } = options;
  const loss = await lossOf(options, step);
  const asked = data.heldOut?.questions ?? [];
  if (questions === undefined && asked.length === 0) return { ...loss, answers: [] };
  const assistant = await openLiveAssistant({ ...options, stage: data.stage });
  try {
    const score = await questions?.ask({
      assistant,
      onProgress: report(options, step, "questions"),
      ...(signal && { signal }),
    });
    const answers = await answersTo(asked, assistant, options, step);
    return { ...loss, ...(score && { score }), answers };
  } finally {
    await assistant.release();
  }
}

async function lossOf(options: EvaluationOptions, step: number): Promise<Pick<Findings, "held_out_loss">> {
  const { data, stepper, assembly, signal } = options;
  if (data.heldOut === undefined) return {};
  const loss = await heldOutLoss(stepper, {
    samples: data.heldOut.samples,
    layout: data.heldOut.layout,
    language: assembly.config.language,
    onProgress: report(options, step, "samples"),
    ...(signal && { signal }),
  });
  if (Number.isFinite(loss)) return { held_out_loss: loss };
  throw new RunError("TRAIN_NOT_FINITE", {
    expected: "a finite held-out loss",
    got: String(loss),
    where: `stage ${data.stage.name}, step ${step}`,
    fix: "lower the learning rate",
  });
}

async function answersTo(
  questions: readonly SampleQuestion[],
  assistant: Assistant,
  options: EvaluationOptions,
  step: number,
): Promise<SampleAnswer[]> {
  const { signal } = options;
  const onProgress = report(options, step, "answers");
  const answers: SampleAnswer[] = [];
  for (const { picture, question, expected } of questions) {
    const asked = { maxNewTokens: longestAnswer, ...(signal && { signal }) };
    const shown = await readChatPicture(picture);
    const { text } = await answerTurns(assistant, [userTurn(question, 1)], [shown], asked);
    signal?.throwIfAborted();
    answers.push({ picture, question, answer: text, expected });
    onProgress(answers.length, questions.length);
  }
  return answers;
}

function report(
  { data, emit }: EvaluationOptions,
  step: number,
  part: "samples" | "questions" | "answers",
): (done: number, total: number) => void {
  return (done, total) => emit({ type: "evaluating", stage: data.stage.name, step, progress: { part, done, total } });
}
