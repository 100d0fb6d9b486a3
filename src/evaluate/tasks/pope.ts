// POPE: does the model say that things are there which are not? (Li et al. 2023, arXiv 2305.10355)
import { jsonItems } from "../../data/json-items.ts";
import { picturePath } from "../../data/picture-path.ts";
import { isRecord, refused, shown } from "../../data/untrusted.ts";
import { userTurn } from "../../generate/assistant.ts";
import type { Answered, Question, Score, Task } from "../task.ts";

/** "yes" is the positive class; a share that has nothing to divide by is 0. */
export interface PopeScore extends Score {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** how often the model said yes */
  readonly yes_ratio: number;
}

type YesNo = "yes" | "no";

/** LLaVA's reading of an answer (llava/eval/eval_pope.py): "no" if its first sentence has the word No, no or not. */
export function readYesNo(answer: string): YesNo {
  const words = answer.split(".")[0]!.replaceAll(",", "").split(" ");
  return words.some((word) => word === "No" || word === "not" || word === "no") ? "no" : "yes";
}

export const pope: Task<PopeScore> = {
  name: "pope",
  questions: readQuestions,
  maxNewTokens: 32,
  stopTexts: ["."],
  isCorrect,
  score: (answered) => {
    const count = (said: YesNo, label: YesNo): number =>
      answered.filter(({ question, answer }) => readYesNo(answer) === said && question.label === label).length;
    const truePositives = count("yes", "yes");
    const said = truePositives + count("yes", "no");
    const precision = share(truePositives, said);
    const recall = share(truePositives, answered.filter(({ question }) => question.label === "yes").length);
    return {
      n: answered.length,
      accuracy: share(answered.filter(isCorrect).length, answered.length),
      precision,
      recall,
      f1: share(2 * precision * recall, precision + recall),
      yes_ratio: share(said, answered.length),
    };
  },
};

function isCorrect({ question, answer }: Answered): boolean {
  return readYesNo(answer) === question.label;
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** Lines of `{question_id, image, text, label}`, label "yes" or "no". Throws `QUESTION_SHAPE` and as `jsonItems`. */
async function* readQuestions(path: string): AsyncGenerator<Question> {
  for await (const { value, line } of jsonItems(path)) {
    const where = `${path}:${line}`;
    const shape = '{"question_id", "image", "text", "label": "yes" or "no"}';
    if (!isRecord(value)) throw refused("QUESTION_SHAPE", shape, shown(value), where);
    const { question_id: id, image, text, label } = value;
    if (typeof id !== "number" && typeof id !== "string")
      throw refused("QUESTION_SHAPE", '"question_id": a number or text', shown(id), where);
    if (typeof text !== "string") throw refused("QUESTION_SHAPE", '"text": the question', shown(text), where);
    if (label !== "yes" && label !== "no")
      throw refused("QUESTION_SHAPE", '"label": "yes" or "no"', shown(label), where);
    yield { id: String(id), images: [picturePath(image, where)], turn: userTurn(text, 1), label, where };
  }
}
