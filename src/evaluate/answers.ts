// The answers of a run as a file: one line a question, with all that its score was made of.
import { writeFileAtomic } from "../formats/node.ts";
import { textOf } from "../text/templates.ts";
import type { Answered, Task } from "./task.ts";

/** Writes JSON lines `{question_id, image, question, answer, label, correct}` and `kind` where there is one. */
export async function writeAnswers(path: string, task: Task, answered: readonly Answered[]): Promise<void> {
  const lines = answered.map((each) => {
    const { id, images, turn, label, kind } = each.question;
    const image = images.length === 1 ? images[0] : images;
    const question = textOf(turn.content).trim();
    const fields = { question_id: id, image, question, answer: each.answer, label, correct: task.isCorrect(each) };
    return `${JSON.stringify({ ...fields, ...(kind !== undefined && { kind }) })}\n`;
  });
  await writeFileAtomic(path, lines.join(""));
}
