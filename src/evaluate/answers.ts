// The answers of a run as a file: one line a question, with all that its score is made of, so that it can be scored anew.
import { z } from "zod";
import { jsonItems } from "../data/json-items.ts";
import { picturePath } from "../data/picture-path.ts";
import { isRecord, refused, shown } from "../data/untrusted.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { textTurn } from "../text/conversation.ts";
import { textOf } from "../text/templates.ts";
import type { Answered, Question, Task } from "./task.ts";

/** A line: `{question_id, image, question, answer, label, correct}`, and what else its question has. */
export function answerLine(task: Task, { question, answer }: Answered): string {
  const { id, images, turn, label, kinds, labels, options, group } = question;
  const grade = task.grade({ question, answer });
  const fields = {
    question_id: id,
    image: images.length === 1 ? images[0] : images,
    question: textOf(turn.content).trim(),
    answer,
    label,
    ...(!task.judged && { correct: grade >= 0.5 }),
    ...(grade !== 0 && grade !== 1 && { grade }),
    ...(kinds?.length === 1 && { kind: kinds[0] }),
    ...(kinds !== undefined && kinds.length > 1 && { kinds }),
    ...(labels !== undefined && { labels }),
    ...(options !== undefined && { options }),
    ...(group !== undefined && { group }),
  };
  return `${JSON.stringify(fields)}\n`;
}

/** Writes all answers, whole or not at all. */
export async function writeAnswers(path: string, task: Task, answered: readonly Answered[]): Promise<void> {
  await writeFileAtomic(path, answered.map((each) => answerLine(task, each)).join(""));
}

/** An answer as a file gives it: ours (`answer`), or LLaVA's (`question_id`, `text`, perhaps `round_id` and `prompt`). */
export interface ReadAnswer {
  readonly id: string;
  readonly answer: string;
  readonly line: Readonly<Record<string, unknown>>;
  readonly where: string;
}

const id = z.union([z.string(), z.number()]).transform(String);
const texts = z.array(z.string());
const answer = z.object({
  question_id: id.optional(),
  questionId: id.optional(),
  id: id.optional(),
  image_id: id.optional(),
  round_id: z.number().int().nonnegative().optional(),
  answer: z.string().optional(),
  text: z.string().optional(),
  prediction: z.string().optional(),
  caption: z.string().optional(),
});
const ownLine = z.object({
  question_id: id,
  image: z.union([z.string(), texts]),
  question: z.string(),
  label: z.string(),
  kind: z.string().optional(),
  kinds: texts.optional(),
  labels: texts.optional(),
  options: texts.optional(),
  group: z.string().optional(),
});

/**
 * The answers of a file: JSON lines or a list of `{question_id, answer | text | prediction | caption}`, ours or another
 * program's. A question's second answer gets the id "ID#2". Throws `ANSWER_SHAPE`, `ANSWERS_EMPTY`, and as `jsonItems`.
 */
export async function readAnswers(path: string): Promise<ReadAnswer[]> {
  const number = numbering();
  const answers: ReadAnswer[] = [];
  for await (const { value, line } of jsonItems(path)) {
    const where = `${path}:${line}`;
    // ScienceQA's results: one object with an answer for each id
    if (isRecord(value) && isRecord(value["outputs"])) {
      for (const [own, text] of Object.entries(value["outputs"])) {
        if (typeof text !== "string") throw refused("ANSWER_SHAPE", "texts in outputs", shown(text), where);
        answers.push({ id: number(own), answer: text, line: {}, where });
      }
      continue;
    }
    const parsed = answer.safeParse(value);
    const fields: Partial<z.infer<typeof answer>> = parsed.data ?? {};
    const named = fields.question_id ?? fields.questionId ?? fields.id ?? fields.image_id;
    const text = fields.answer ?? fields.text ?? fields.prediction ?? fields.caption;
    if (named === undefined || text === undefined || !isRecord(value))
      throw refused("ANSWER_SHAPE", '{"question_id", "answer" or "text"}', shown(value), where);
    const round = fields.round_id ? `${named}/${fields.round_id}` : named;
    answers.push({ id: number(round), answer: text, line: value, where });
  }
  if (answers.length > 0) return answers;
  throw refused("ANSWERS_EMPTY", "at least one answer", "none", path);
}

/** The questions that lines of our own files hold. Throws `ANSWERS_QUESTIONS` where they hold none. */
export function questionsWithin(answers: readonly ReadAnswer[]): Question[] {
  return answers.map(({ id: own, line, where }): Question => {
    const parsed = ownLine.safeParse(line);
    if (!parsed.success) {
      const fix = "name the task's questions with --questions";
      throw refused("ANSWERS_QUESTIONS", "lines as llava eval --answers writes them", shown(line), where, fix);
    }
    const { image, question, label, kind, kinds, labels, options, group } = parsed.data;
    const named = kinds ?? (kind === undefined ? undefined : [kind]);
    return {
      id: own,
      images: [image].flat().map((each) => picturePath(each, where)),
      turn: textTurn("user", question),
      label,
      ...(named !== undefined && { kinds: named }),
      ...(labels !== undefined && { labels }),
      ...(options !== undefined && { options }),
      ...(group !== undefined && { group }),
      where,
    };
  });
}

/** Numbers ids that come again: "7", "7#2", "7#3". */
export function numbering(): (id: string) => string {
  const seen = new Map<string, number>();
  return (named) => {
    const times = (seen.get(named) ?? 0) + 1;
    seen.set(named, times);
    return times === 1 ? named : `${named}#${times}`;
  };
}
