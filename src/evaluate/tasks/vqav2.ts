// VQAv2 and OK-VQA: ten people's answers to each question (Goyal et al. 2017, arXiv 1612.00837; Marino et al. 2019, 1906.00067).
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { refused } from "../../data/untrusted.ts";
import { userTurn } from "../../generate/assistant.ts";
import { membersOf } from "../lines.ts";
import { shortAnswer } from "../prompts.ts";
import { meanGrade, type Question, type Task } from "../task.ts";
import { leaveOneOut, normaliseVqa, plainMarks } from "../vqa-normalise.ts";

const asked = z.object({ question_id: z.number(), image_id: z.number(), question: z.string() });
const annotation = z.object({
  question_id: z.number(),
  answers: z.array(z.object({ answer: z.string() })).min(1),
  answer_type: z.string().optional(),
});

/** People's answers lose their marks only where they differ, and keep articles, as in the official evaluation. */
function grade({ question: { labels = [] }, answer }: { question: Question; answer: string }): number {
  const differ = new Set(labels).size > 1;
  return leaveOneOut(normaliseVqa(answer), differ ? labels.map(plainMarks) : labels);
}

const common: Omit<Task<"accuracy">, "name"> = {
  files: "…_questions.json with …_annotations.json beside it; pictures as COCO_SUBTYPE_000000000000.jpg",
  questions: readQuestions,
  maxNewTokens: 128,
  ...meanGrade(grade),
};
export const vqav2: Task<"accuracy"> = { name: "vqav2", ...common };
export const okvqa: Task<"accuracy"> = { name: "okvqa", ...common };

/** `v2_OpenEnded_mscoco_val2014_questions.json` → `v2_mscoco_val2014_annotations.json`. */
function annotationsPath(path: string): string {
  return join(dirname(path), basename(path).replace("OpenEnded_", "").replace("_questions", "_annotations"));
}

async function* readQuestions(path: string): AsyncGenerator<Question> {
  const answers = new Map<number, z.infer<typeof annotation>>();
  const beside = annotationsPath(path);
  for await (const { value } of membersOf(beside, annotation, (section) => section === "annotations"))
    answers.set(value.question_id, value);
  const folder = /(train|val|test)20\d\d/.exec(basename(path))?.[0] ?? "val2014";
  for await (const { value, where } of membersOf(path, asked, (section) => section === "questions")) {
    const { question_id: id, image_id: image, question } = value;
    const found = answers.get(id);
    if (found === undefined)
      throw refused("QUESTION_SHAPE", "answers to every question", `none to ${id}`, where, beside);
    const labels = found.answers.map(({ answer }) => answer);
    yield {
      id: String(id),
      images: [picturePath(`COCO_${folder}_${String(image).padStart(12, "0")}.jpg`, where)],
      turn: userTurn(`${question}\n${shortAnswer}`, 1),
      label: labels[0]!,
      labels,
      ...(found.answer_type !== undefined && { kinds: [found.answer_type] }),
      where,
    };
  }
}
