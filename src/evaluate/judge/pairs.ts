// Brings together what a judgement needs: questions, what the pictures show, reference answers and the model's answers.
import { z } from "zod";
import { listed, refused } from "../../data/untrusted.ts";
import { readAnswers } from "../answers.ts";
import { itemsOf } from "../lines.ts";
import type { Judged } from "./request.ts";

const id = z.union([z.string(), z.number()]).transform(String);
const question = z.object({ question_id: id, image: z.string(), text: z.string(), category: z.string() });
const context = z.object({
  image: z.string(),
  caption: z.union([z.string(), z.array(z.string())]).optional(),
  captions: z.array(z.string()).optional(),
  instances: z.array(z.object({ category: z.string(), bbox: z.array(z.number()).length(4) })).optional(),
});

export interface PairFiles {
  /** LLaVA-Bench's questions: question_id, image, text, category */
  readonly questions: string;
  /** what pictures show: image, caption or captions, perhaps instances with boxes */
  readonly context: string;
  /** reference answers, in any layout of answers */
  readonly references: string;
  readonly answers: string;
}

/**
 * Pairs by question_id, never by place. Throws `JUDGE_FILES` where a question has no context or no reference, or is not
 * answered; what the readers throw.
 */
export async function readPairs(files: PairFiles): Promise<Judged[]> {
  const contexts = new Map<string, Pick<Judged, "context" | "hasBoxes">>();
  for await (const { value } of itemsOf(files.context, context))
    contexts.set(value.image, { context: contextText(value), hasBoxes: value.instances !== undefined });
  const references = await answersById(files.references);
  const answers = await answersById(files.answers);
  const pairs: Judged[] = [];
  const missing: string[] = [];
  for await (const { value } of itemsOf(files.questions, question)) {
    const { question_id, image, text, category } = value;
    const [shown, reference, candidate] = [contexts.get(image), references.get(question_id), answers.get(question_id)];
    if (shown === undefined) missing.push(`context of ${image}`);
    else if (reference === undefined) missing.push(`reference ${question_id}`);
    else if (candidate === undefined) missing.push(`answer ${question_id}`);
    else pairs.push({ id: question_id, question: text, category, images: [image], ...shown, reference, candidate });
  }
  if (missing.length === 0 && pairs.length > 0) return pairs;
  const got = missing.length === 0 ? "no question" : `none for ${listed(missing)}`;
  throw refused("JUDGE_FILES", "context, reference and answer for every question", got, files.questions);
}

/** Captions a line each; then boxes a line each, as `category: [x1, y1, x2, y2]` from 0 to 1. */
function contextText({ caption, captions, instances }: z.infer<typeof context>): string {
  const lines = [caption ?? captions ?? []].flat().map((text) => text.trim());
  const boxes = (instances ?? []).map(({ category, bbox }) => `${category}: [${bbox.join(", ")}]`);
  return [lines, boxes]
    .filter((part) => part.length > 0)
    .map((part) => part.join("\n"))
    .join("\n\n");
}

async function answersById(path: string): Promise<Map<string, string>> {
  return new Map((await readAnswers(path)).map(({ id: own, answer }) => [own, answer]));
}
