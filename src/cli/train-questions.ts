// Scores a recipe's questions while it trains, as `llava eval` does.
import { createHash } from "node:crypto";
import { tasks } from "../evaluate/registry.ts";
import { openTask } from "../evaluate/run.ts";
import type { Score, Task } from "../evaluate/task.ts";
import type { QuestionScore } from "../train/metrics.ts";
import type { Questions } from "../train/questions.ts";
import type { QuestionsRecipe } from "../train/recipe.ts";
import { unpackQuestions } from "./eval-run.ts";

/** Reads and checks the questions; pictures in their file become files. Throws as `openTask`. */
export async function openQuestions({ task: name, path, images, limit }: QuestionsRecipe): Promise<Questions> {
  const task: Task = tasks[name];
  await unpackQuestions(task, [path], images);
  const opened = await openTask({ task, questionsPath: path, imagesDir: images, ...(limit && { limit }) });
  const pictures = new Set(opened.questions.flatMap((question) => question.images));
  return {
    pictures: [...pictures].map((image) => ({ image, root: images })),
    hash: createHash("sha256")
      .update(JSON.stringify([name, opened.questions]))
      .digest("hex"),
    ask: async ({ assistant, onProgress, signal }) => {
      const { score } = await opened.run({
        assistant,
        onProgress: ({ done, total }) => onProgress(done, total),
        ...(signal && { signal }),
      });
      return { task: name, ...score, ...goneBy(task, score) };
    },
  };
}

/** The share that evaluations are compared by. */
function goneBy({ compared }: Task, score: Score): Pick<QuestionScore, "accuracy" | "figure"> {
  const figures: Readonly<Record<string, unknown>> = score;
  const accuracy = Number(figures[compared ?? "accuracy"]);
  return compared === undefined ? { accuracy } : { accuracy, figure: compared };
}
