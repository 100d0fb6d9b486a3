// Writes a finished run's report: curves, sums, masks of real samples, and pictures with the model's answers.
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { pictureFile } from "../data/picture-path.ts";
import type { Sample } from "../data/sample.ts";
import { readSamples } from "../data/samples.ts";
import { answerTurns, type Assistant, userTurn } from "../generate/assistant.ts";
import { openAssistant, readChatPicture } from "../generate/node.ts";
import { thumbnail } from "../image/node.ts";
import type { Engine } from "../runtime/engine.ts";
import { imageMarker } from "../text/conversation.ts";
import { showMask } from "../text/show-mask.ts";
import { readMetrics } from "../train/metrics.ts";
import { formatRecipe, type Recipe } from "../train/recipe.ts";
import type { MaskPreview, PictureAnswer, StageReport } from "../train/report/data.ts";
import { writeReport } from "../train/report/write.ts";
import type { TrainedRun } from "../train/run.ts";
import type { StageData } from "../train/stage-data.ts";
import { showBytes, showSeconds } from "./output.ts";
import { startProgress } from "./progress.ts";

const shownAnswers = 8;
const shownMasks = 2;

/** Asks the new model about some of its pictures and writes report.html. */
export async function reportRun(recipe: Recipe, run: TrainedRun, engine: Engine, seconds: number): Promise<void> {
  const { steps } = await readMetrics(join(recipe.output, "metrics.jsonl"));
  const stages = run.stages.map(({ stage, sums }): StageReport => {
    const own = steps.filter((line) => line.stage === stage.name);
    const points = own.map(({ step, loss, learning_rate }) => ({ step, loss, learning_rate }));
    return {
      name: stage.name,
      train: stage.train,
      sums,
      points,
      seconds: own.reduce((sum, line) => sum + line.seconds, 0),
    };
  });
  await writeReport(join(recipe.output, "report.html"), {
    name: recipe.name,
    stages,
    masks: run.stages.flatMap((data) => maskPreviews(run, data)),
    answers: await answers(recipe, engine),
    scores: [],
    facts: [
      { label: "time in all", value: showSeconds(seconds) },
      { label: "peak memory", value: showBytes(process.resourceUsage().maxRSS * 1024) },
      { label: "processor", value: `${cpus()[0]?.model.trim() ?? "unknown"}, ${engine.threads} threads` },
      { label: "memory of the machine", value: showBytes(totalmem()) },
      { label: "Node.js", value: process.version },
    ],
    recipe: formatRecipe(recipe),
  });
}

/** The first samples of a stage as training sees them. */
function maskPreviews({ assembly: { tokenizer, config } }: TrainedRun, { stage, samples }: StageData): MaskPreview[] {
  return samples.slice(0, shownMasks).map(({ id, ids, labels }) => {
    const pieces = showMask(tokenizer, ids, labels, config.imageTokenId).map(({ text, learned }) => ({
      text,
      learned,
    }));
    return { id, stage: stage.name, pieces };
  });
}

interface Question {
  readonly file: string;
  readonly question: string;
  readonly expected: string;
}

async function answers(recipe: Recipe, engine: Engine): Promise<PictureAnswer[]> {
  const questions = await chooseQuestions(recipe);
  if (questions.length === 0) return [];
  const assistant = await openAssistant(join(recipe.output, "model"), { engine });
  const progress = startProgress({ label: "report", unit: "pictures", total: questions.length });
  const answered: PictureAnswer[] = [];
  for (const question of questions) {
    answered.push(await ask(assistant, question));
    progress.update(answered.length);
  }
  progress.finish();
  return answered;
}

async function ask(assistant: Assistant, { file, question, expected }: Question): Promise<PictureAnswer> {
  const picture = await readChatPicture(file);
  const { text } = await answerTurns(assistant, [userTurn(question, 1)], [picture], { maxNewTokens: 64 });
  return { picture: await thumbnail(picture.pixels, 320), question, answer: text, expected };
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
  return { file: pictureFile(root, images[0]!), question, expected: conversations[1]!.value };
}
