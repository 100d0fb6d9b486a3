// SEED-Bench: four options, the letter wanted, twelve kinds over pictures and video frames (Li et al. 2023, arXiv 2307.16125).
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { userTurn } from "../../generate/assistant.ts";
import { membersOf } from "../lines.ts";
import { withOptions } from "../prompts.ts";
import { meanGrade, type Question, type Task } from "../task.ts";

const entry = z.object({
  question_id: z.union([z.string(), z.number()]).transform(String),
  question: z.string(),
  choice_a: z.string(),
  choice_b: z.string(),
  choice_c: z.string(),
  choice_d: z.string(),
  answer: z.enum(["A", "B", "C", "D"]),
  data_id: z.string(),
  data_type: z.enum(["image", "video"]),
  question_type_id: z.number(),
});
const names = z.record(z.string(), z.number());

/** Exact letters, as LLaVA counts them (scripts/convert_seed_for_submission.py); of videos, one frame is shown. */
export const seedbench: Task<"accuracy"> = {
  name: "seedbench",
  files: "SEED-Bench.json; pictures in SEED-Bench-image, frames as SEED-Bench-video-image/QUESTION_ID.png",
  questions: async function* (path) {
    for await (const { words, ...question } of readEntries(path)) {
      yield { ...question, turn: userTurn(withOptions(words, question.options ?? []), 1) };
    }
  },
  maxNewTokens: 128,
  ...meanGrade(({ question, answer }) => (answer === question.label ? 1 : 0)),
};

/**
 * As SEED-Bench itself scores models (arXiv 2307.16125 §3.4): asked without options, the answer is the option whose text
 * has the highest mean log probability.
 */
export const seedbenchRanked: Task<"accuracy"> = {
  ...seedbench,
  name: "seedbench-ranked",
  ranked: true,
  maxNewTokens: 0,
  questions: async function* (path) {
    for await (const { words, ...question } of readEntries(path)) yield { ...question, turn: userTurn(words, 1) };
  },
};

async function* readEntries(path: string): AsyncGenerator<Omit<Question, "turn"> & { readonly words: string }> {
  const kinds = new Map<number, string>();
  for await (const { value } of membersOf(path, names, (section) => section === "question_type"))
    for (const [name, id] of Object.entries(value)) kinds.set(id, name);
  for await (const { value, where } of membersOf(path, entry, (section) => section === "questions")) {
    const { question_id: id, question, answer, data_id: data, data_type: type, question_type_id: kind } = value;
    const options = [value.choice_a, value.choice_b, value.choice_c, value.choice_d];
    const image = type === "image" ? `SEED-Bench-image/${data}` : `SEED-Bench-video-image/${id}.png`;
    yield {
      id,
      words: question,
      images: [picturePath(image, where)],
      label: answer,
      options,
      kinds: [kinds.get(kind) ?? `kind ${kind}`, type],
      where,
    };
  }
}
