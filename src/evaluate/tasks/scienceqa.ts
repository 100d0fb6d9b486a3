// ScienceQA: school questions with and without pictures, as LLaVA reads and scores them (Lu et al. 2022, arXiv 2209.09513).
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { userTurn } from "../../generate/assistant.ts";
import { membersOf } from "../lines.ts";
import { letterOf, optionLetter } from "../prompts.ts";
import { meanGrade, type Question, type Task } from "../task.ts";

const problem = z.object({
  question: z.string(),
  choices: z.array(z.string()).min(2).max(5),
  answer: z.number().int().nonnegative(),
  hint: z.string().default(""),
  image: z.string().nullish(),
  grade: z.string().regex(/^grade(1[0-2]|[1-9])$/),
  subject: z.enum(["natural science", "social science", "language science"]),
  split: z.string().default("test"),
});

const subjects = { "natural science": "NAT", "social science": "SOC", "language science": "LAN" } as const;

/**
 * LLaVA's reading (llava/eval/eval_science_qa.py): the letter alone; "B. …"; or exactly one "The answer is B" with a
 * character after it, as in the targets of QCM-LEA. Anything else is no answer. Letters go to E.
 */
export function readScienceAnswer(answer: string): string | undefined {
  if (/^[A-E]$/.test(answer)) return answer;
  if (/^[A-E]\. /.test(answer)) return answer[0];
  const said = [...answer.matchAll(/The answer is ([A-Z])[^\n]/g)];
  return said.length === 1 ? said[0]![1] : undefined;
}

/** Asked as LLaVA 1.5 is (CQM-A, the letter wanted); "IMG" is what its papers report. */
export const scienceqa: Task<"accuracy"> = {
  name: "scienceqa",
  files: "problems.json (its test split); pictures as ID/image.png",
  questions: readProblems,
  maxNewTokens: 1024,
  ...meanGrade(({ question, answer }) => (readScienceAnswer(answer) === question.label ? 1 : 0)),
};

async function* readProblems(path: string): AsyncGenerator<Question> {
  for await (const { value, section: id, where } of membersOf(path, problem)) {
    if (value.split !== "test") continue;
    const { question, choices, answer, hint, image } = value;
    const options = choices.map((text, i) => `(${letterOf(i)}) ${text}`).join(" ");
    const words = `Context: ${hint.trim() || "N/A"}\nQuestion: ${question}\nOptions: ${options}\n${optionLetter}`;
    const images = image ? [picturePath(`${id}/${image}`, where)] : [];
    yield { id, images, turn: userTurn(words, images.length), label: letterOf(answer), kinds: kindsOf(value), where };
  }
}

/** The columns of the paper's table; what has a text and a picture counts under both. */
function kindsOf({ subject, hint, image, grade }: z.infer<typeof problem>): string[] {
  const contexts = [...(hint === "" ? [] : ["TXT"]), ...(image ? ["IMG"] : [])];
  const years = Number(grade.slice(5)) <= 6 ? "G1-6" : "G7-12";
  return [subjects[subject], ...(contexts.length > 0 ? contexts : ["NO"]), years];
}
