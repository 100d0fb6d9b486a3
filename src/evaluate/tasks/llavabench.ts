// LLaVA-Bench (COCO and in the wild): free answers, which a judge scores afterwards (Liu et al. 2023, arXiv 2304.08485, §5.1).
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { userTurn } from "../../generate/assistant.ts";
import { itemsOf } from "../lines.ts";
import type { Question, Task } from "../task.ts";

const line = z.object({
  question_id: z.union([z.string(), z.number()]).transform(String),
  image: z.string(),
  text: z.string(),
  category: z.string(),
});

/** It only asks: `llava eval judge` compares the answers with reference answers. */
export const llavabench: Task<never> = {
  name: "llavabench",
  files: "JSON lines with question_id, image, text, category; then: llava eval judge",
  questions: readLines,
  maxNewTokens: 1024,
  judged: true,
  grade: () => 0,
  tally: (answered) => answered.map(() => ({})),
  figures: () => ({}),
};

async function* readLines(path: string): AsyncGenerator<Question> {
  for await (const { value, where } of itemsOf(path, line)) {
    const { question_id: id, image, text, category } = value;
    const images = [picturePath(image, where)];
    yield { id, images, turn: userTurn(text, 1), label: "", kinds: [category], where };
  }
}
