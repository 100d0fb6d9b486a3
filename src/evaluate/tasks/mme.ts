// MME: two yes/no questions a picture, points for each answer and for both (Fu et al. 2023, arXiv 2306.13394).
import { extname } from "node:path";
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { refused } from "../../data/untrusted.ts";
import { readTextFile } from "../../formats/node.ts";
import { userTurn } from "../../generate/assistant.ts";
import { itemsOf, stemOf } from "../lines.ts";
import { shortAnswer } from "../prompts.ts";
import { type Answered, groupsOf, type Question, share, type Sums, type Task } from "../task.ts";

/** `accuracy_plus`: pictures with both answers right; `score`: 100 for each of both, summed over subtasks. */
type Figure = "accuracy" | "accuracy_plus" | "score";

const cognition = ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"];

/** The official reading (eval_tool/calculation.py): the word alone, else what the first four letters hold. */
export function readMme(answer: string): "yes" | "no" | "other" {
  const begin = answer.toLowerCase().slice(0, 4);
  return begin.includes("yes") ? "yes" : begin.includes("no") ? "no" : "other";
}

const isRight = ({ question, answer }: Answered): boolean => readMme(answer) === question.label;

export const mme: Task<Figure> = {
  name: "mme",
  files: "SUBTASK.txt with picture, question and answer between tabs, one for each subtask; pictures as SUBTASK/NAME",
  questions: readSubtask,
  maxNewTokens: 128,
  grade: (each) => (isRight(each) ? 1 : 0),
  tally: (answered) => {
    const pictures = groupsOf(answered);
    return answered.map((each): Sums => {
      const both = pictures.get(each.question.group)!;
      const sums = { n: 1, right: isRight(each) ? 1 : 0 };
      // the picture counts with its first question
      const picture = { pictures: both[0] === each ? 1 : 0, both: both[0] === each && both.every(isRight) ? 1 : 0 };
      const subtask = each.question.kinds?.[0] ?? "";
      return Object.fromEntries(Object.entries({ ...sums, ...picture }).map(([name, n]) => [`${subtask}/${name}`, n]));
    });
  },
  figures: (sums) => {
    const subtasks = [...new Set(Object.keys(sums).map((key) => key.slice(0, key.lastIndexOf("/"))))];
    const shares = subtasks.map((name) => ({
      one: share(sums[`${name}/right`]!, sums[`${name}/n`]!),
      both: share(sums[`${name}/both`]!, sums[`${name}/pictures`]!),
    }));
    const sum = (end: string): number => subtasks.reduce((all, name) => all + sums[name + end]!, 0);
    return {
      accuracy: share(sum("/right"), sum("/n")),
      accuracy_plus: share(sum("/both"), sum("/pictures")),
      score: shares.reduce((all, { one, both }) => all + 100 * (one + both), 0),
    };
  },
  points: ["score"],
};

const line = z.object({
  question_id: z.union([z.string(), z.number()]).transform(String),
  image: z.string(),
  text: z.string(),
  label: z.string(),
  category: z.string(),
});

async function* readSubtask(path: string): AsyncGenerator<Question> {
  if (extname(path) !== ".txt") {
    for await (const { value, where } of itemsOf(path, line))
      yield questionOf(value.question_id, value.image, value.text, value.label, value.category, where);
    return;
  }
  const subtask = stemOf(path);
  for (const [i, row] of (await readTextFile(path)).split(/\r?\n/).entries()) {
    if (row.trim() === "") continue;
    const where = `${path}:${i + 1}`;
    const [image, text, label] = row.split("\t");
    if (image === undefined || text === undefined || label === undefined)
      throw refused(
        "QUESTION_SHAPE",
        "picture, question and answer between tabs",
        JSON.stringify(row.slice(0, 80)),
        where,
      );
    yield questionOf(`${subtask}/${image}`, `${subtask}/${image}`, text, label, subtask, where);
  }
}

function questionOf(id: string, image: string, text: string, told: string, subtask: string, where: string): Question {
  const label = told.trim().toLowerCase();
  if (label !== "yes" && label !== "no") throw refused("QUESTION_SHAPE", "the answer yes or no", label, where);
  const words = text.replace(/\s*Please answer yes or no\.\s*$/, "");
  const asked = words.endsWith(shortAnswer) ? words : `${words}\n${shortAnswer}`;
  const picture = picturePath(image, where);
  const half = cognition.includes(subtask) ? "cognition" : "perception";
  return {
    id,
    images: [picture],
    turn: userTurn(asked, 1),
    label,
    kinds: [subtask, half],
    group: `${subtask}/${picture}`,
    where,
  };
}
