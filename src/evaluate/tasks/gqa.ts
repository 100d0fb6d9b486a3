// GQA: questions made from scene graphs, one right answer each (Hudson and Manning 2019, arXiv 1902.09506).
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { userTurn } from "../../generate/assistant.ts";
import { membersOf } from "../lines.ts";
import { shortAnswer } from "../prompts.ts";
import { meanGrade, type Question, type Task } from "../task.ts";

const entry = z.object({
  question: z.string(),
  answer: z.string(),
  imageId: z.string(),
  types: z.object({ structural: z.string() }).optional(),
});

/** Exact match after LLaVA's conversion (scripts/convert_gqa_for_eval.py): no points at the end, no capitals. */
export const gqa: Task<"accuracy"> = {
  name: "gqa",
  files: "testdev_balanced_questions.json; pictures as IMAGE_ID.jpg",
  questions: readEntries,
  maxNewTokens: 128,
  ...meanGrade(({ question, answer }) => (answer.replace(/\.+$/, "").toLowerCase() === question.label ? 1 : 0)),
};

async function* readEntries(path: string): AsyncGenerator<Question> {
  for await (const { value, section, where } of membersOf(path, entry)) {
    const { question, answer, imageId, types } = value;
    yield {
      id: section,
      images: [picturePath(`${imageId}.jpg`, where)],
      turn: userTurn(`${question}\n${shortAnswer}`, 1),
      label: answer,
      ...(types !== undefined && { kinds: [types.structural === "query" ? "open" : "binary"] }),
      where,
    };
  }
}
