// TextVQA: questions about written words in pictures, ten people's answers to each (Singh et al. 2019, arXiv 1904.08920).
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { userTurn } from "../../generate/assistant.ts";
import { membersOf } from "../lines.ts";
import { shortAnswer } from "../prompts.ts";
import { meanGrade, type Question, type Task } from "../task.ts";
import { leaveOneOut, normaliseEvalAi } from "../vqa-normalise.ts";

const entry = z.object({
  question_id: z.number(),
  image_id: z.string(),
  question: z.string(),
  answers: z.array(z.string()).length(10),
});

/** LLaVA's answers name the picture and hold the question in their prompt, perhaps with read words around it. */
function questionIn(prompt: string): string | undefined {
  const lines = prompt.split("\n");
  if (prompt.startsWith("OCR tokens: ")) return /Question: (.*?) Short answer:/s.exec(prompt)?.[1];
  return lines[prompt.startsWith("Reference OCR token:") ? 1 : 0];
}

/** The words that an OCR system read are not given to the model, as LLaVA 1.5's own evaluation does. */
export const textvqa: Task<"accuracy"> = {
  name: "textvqa",
  files: "TextVQA_0.5.1_val.json; pictures as IMAGE_ID.jpg",
  questions: readEntries,
  maxNewTokens: 128,
  ...meanGrade(({ question, answer }) =>
    leaveOneOut(normaliseEvalAi(answer), (question.labels ?? [question.label]).map(normaliseEvalAi)),
  ),
  foreignId: ({ question_id: id, prompt }) => {
    const question = typeof prompt === "string" ? questionIn(prompt) : undefined;
    return question === undefined ? undefined : `${String(id)}\n${question.toLowerCase()}`;
  },
};

async function* readEntries(path: string): AsyncGenerator<Question> {
  for await (const { value, where } of membersOf(path, entry, (section) => section === "data")) {
    const { question_id: id, image_id: image, question, answers } = value;
    yield {
      id: String(id),
      images: [picturePath(`${image}.jpg`, where)],
      turn: userTurn(`${question}\n${shortAnswer}`, 1),
      label: answers[0]!,
      labels: answers,
      foreignId: `${image}\n${question.toLowerCase()}`,
      where,
    };
  }
}
