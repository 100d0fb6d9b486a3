// Asks a finished run's model about some of its pictures, for the report.
import { join } from "node:path";
import { pictureFile } from "../data/picture-path.ts";
import type { Sample } from "../data/sample.ts";
import { readSamples } from "../data/samples.ts";
import { answerTurns, type Assistant, userTurn } from "../generate/assistant.ts";
import { openAssistant, readChatPicture } from "../generate/node.ts";
import type { Engine } from "../runtime/engine.ts";
import { imageMarker } from "../text/conversation.ts";
import { readMetrics, type SampleAnswer } from "../train/metrics.ts";
import type { Recipe } from "../train/recipe.ts";
import { startProgress } from "./progress.ts";

const shownAnswers = 8;

/** Answers about pictures of the last stage; none where its evaluations asked about held-out ones already. */
export async function askForReport(recipe: Recipe, engine: Engine): Promise<SampleAnswer[]> {
  const { evaluations } = await readMetrics(join(recipe.output, "metrics.jsonl"));
  const last = recipe.stages.at(-1)!;
  if (evaluations.some(({ stage, answers }) => stage === last.name && answers.length > 0)) return [];
  const questions = await chooseQuestions(recipe);
  if (questions.length === 0) return [];
  const assistant = await openAssistant(join(recipe.output, "model"), { engine });
  const progress = startProgress({ label: "report", unit: "pictures", total: questions.length });
  const answered: SampleAnswer[] = [];
  for (const question of questions) {
    answered.push({ ...question, answer: await ask(assistant, question) });
    progress.update(answered.length);
  }
  progress.finish();
  return answered;
}

type Question = Omit<SampleAnswer, "answer">;

async function ask(assistant: Assistant, { picture, question }: Question): Promise<string> {
  const shown = await readChatPicture(picture);
  const { text } = await answerTurns(assistant, [userTurn(question, 1)], [shown], { maxNewTokens: 64 });
  return text;
}

/** First questions of single-picture samples, spread evenly over the last stage's data. */
async function chooseQuestions(recipe: Recipe): Promise<Question[]> {
  const source = recipe.stages.at(-1)!.data[0]!;
  const usable = (await readSamples(source.path)).filter(({ images }) => images.length === 1);
  const every = Math.max(1, Math.floor(usable.length / shownAnswers));
  return usable
    .filter((_, i) => i % every === 0)
    .slice(0, shownAnswers)
    .map((sample) => questionOf(sample, source.images));
}

function questionOf({ images, conversations }: Sample, root: string): Question {
  const question = conversations[0]!.value.replace(imageMarker, "").trim();
  return { picture: pictureFile(root, images[0]!), question, expected: conversations[1]!.value };
}
