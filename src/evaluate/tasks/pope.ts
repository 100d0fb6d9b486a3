// POPE: does the model say that things are there which are not? (Li et al. 2023, arXiv 2305.10355)
import { basename } from "node:path";
import { jsonItems } from "../../data/json-items.ts";
import { picturePath } from "../../data/picture-path.ts";
import { isRecord, refused, shown } from "../../data/untrusted.ts";
import { userTurn } from "../../generate/assistant.ts";
import { type Answered, type Question, type Score, share, type Sums, type Task } from "../task.ts";

/** "yes" is the positive class; a share that has nothing to divide by is 0. `yes_ratio`: how often the model said yes. */
type Figure = "accuracy" | "precision" | "recall" | "f1" | "yes_ratio";
export type PopeScore = Score<Figure>;

type YesNo = "yes" | "no";

/** LLaVA's reading of an answer (llava/eval/eval_pope.py): "no" if its first sentence has the word No, no or not. */
export function readYesNo(answer: string): YesNo {
  const words = answer.split(".")[0]!.replaceAll(",", "").split(" ");
  return words.some((word) => word === "No" || word === "not" || word === "no") ? "no" : "yes";
}

export const pope: Task<Figure> = {
  name: "pope",
  files: "JSON lines with question_id, image, text, label; one file, or the three lists",
  questions: readQuestions,
  maxNewTokens: 32,
  stopTexts: ["."],
  grade: (answered) => (isCorrect(answered) ? 1 : 0),
  tally: (answered) =>
    answered.map((each): Sums => {
      const said = readYesNo(each.answer);
      const list = each.question.kinds?.[0] ?? "";
      const counts = { n: 1, right: isCorrect(each) ? 1 : 0, said: said === "yes" ? 1 : 0 };
      const label = { true: each.question.label === "yes" ? 1 : 0 };
      const hit = { hits: said === "yes" && isCorrect(each) ? 1 : 0 };
      const sums = { ...counts, ...label, ...hit };
      return {
        ...sums,
        ...Object.fromEntries(Object.entries(sums).map(([name, value]) => [`${list}/${name}`, value])),
      };
    }),
  figures: (sums) => {
    const lists = new Set(Object.keys(sums).flatMap((name) => /^(.*)\/n$/.exec(name)?.[1] ?? []));
    const f1s = [...lists].map((list) => f1Of(sums, `${list}/`).f1);
    const { n = 0, right = 0, said = 0 } = sums;
    return {
      accuracy: share(right, n),
      ...f1Of(sums, ""),
      yes_ratio: share(said, n),
      // what papers report of the three lists
      ...(f1s.length > 1 && { mean_f1: f1s.reduce((sum, f1) => sum + f1, 0) / f1s.length }),
    };
  },
};

function f1Of(sums: Sums, list: string): { precision: number; recall: number; f1: number } {
  const of = (name: string): number => sums[list + name] ?? 0;
  const precision = share(of("hits"), of("said"));
  const recall = share(of("hits"), of("true"));
  return { precision, recall, f1: share(2 * precision * recall, precision + recall) };
}

function isCorrect({ question, answer }: Answered): boolean {
  return readYesNo(answer) === question.label;
}

/** Lines of `{question_id, image, text, label}`, label "yes" or "no". Throws `QUESTION_SHAPE` and as `jsonItems`. */
async function* readQuestions(path: string): AsyncGenerator<Question> {
  const list = /random|popular|adversarial/.exec(basename(path))?.[0];
  for await (const { value, line } of jsonItems(path)) {
    const where = `${path}:${line}`;
    const shape = '{"question_id", "image", "text", "label": "yes" or "no"}';
    if (!isRecord(value)) throw refused("QUESTION_SHAPE", shape, shown(value), where);
    const { question_id: id, image, text, label, category = list } = value;
    if (typeof id !== "number" && typeof id !== "string")
      throw refused("QUESTION_SHAPE", '"question_id": a number or text', shown(id), where);
    if (typeof text !== "string") throw refused("QUESTION_SHAPE", '"text": the question', shown(text), where);
    if (label !== "yes" && label !== "no")
      throw refused("QUESTION_SHAPE", '"label": "yes" or "no"', shown(label), where);
    const kinds = typeof category === "string" ? { kinds: [category] } : {};
    yield { id: String(id), images: [picturePath(image, where)], turn: userTurn(text, 1), label, ...kinds, where };
  }
}
