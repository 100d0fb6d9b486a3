// MMStar: 1,500 questions that cannot be answered without the picture (Chen et al. 2024, arXiv 2403.20330).
import { picturePath } from "../../data/picture-path.ts";
import { refused } from "../../data/untrusted.ts";
import { userTurn } from "../../generate/assistant.ts";
import { optionLetter } from "../prompts.ts";
import { meanGrade, type Question, type Task } from "../task.ts";
import { cellOf, readTsv, tsvPictures } from "../tsv.ts";

/** Without regard to case, one of "B…", "(B…", "option B…", "the answer is B…": the official reading. */
export function isMmstarRight(answer: string, label: string): boolean {
  const said = answer.toLowerCase().trim().replaceAll("\n", " ");
  const letter = label.toLowerCase();
  return ["", "(", "option ", "the answer is "].some((start) => said.startsWith(start + letter));
}

export const mmstar: Task<"accuracy"> = {
  name: "mmstar",
  files: "MMStar's .tsv; pictures in it, or as INDEX.jpg",
  questions: readRows,
  pictures: tsvPictures,
  maxNewTokens: 128,
  ...meanGrade(({ question, answer }) => (isMmstarRight(answer, question.label) ? 1 : 0)),
};

/** The options stand in the question. */
async function* readRows(path: string): AsyncGenerator<Question> {
  for (const row of await readTsv(path, ["index", "question", "answer", "category"])) {
    const label = row["answer"]!.trim();
    if (!/^[A-D]$/.test(label)) throw refused("QUESTION_SHAPE", "an answer from A to D", label, row.where);
    const category = cellOf(row, "category");
    yield {
      id: row["index"]!,
      images: [picturePath(`${row["index"]!}.jpg`, row.where)],
      turn: userTurn(`${row["question"]!}\n${optionLetter}`, 1),
      label,
      ...(category !== undefined && { kinds: [category] }),
      where: row.where,
    };
  }
}
