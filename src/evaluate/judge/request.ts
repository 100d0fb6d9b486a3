// What a judge is asked: two answers to one question, with what the picture shows in words (layout of llava/eval/eval_gpt_review_bench.py).
import { createHash } from "node:crypto";
import { z } from "zod";
import type { ChatRequest } from "../../endpoint/wire.ts";
import { InputError } from "../../errors.ts";
import { readJsonFile } from "../../formats/node.ts";

/** A question with all that its judgement needs. */
export interface Judged {
  readonly id: string;
  readonly question: string;
  /** e.g. "conv"; its rule is chosen by it */
  readonly category: string;
  readonly images: readonly string[];
  /** captions, and boxes where there are some */
  readonly context: string;
  /** the context is of a kind that has boxes, be they none for this picture */
  readonly hasBoxes: boolean;
  readonly reference: string;
  readonly candidate: string;
}

/** Which of the two answers is shown first. */
export type Order = "reference first" | "candidate first";
export const orders: readonly Order[] = ["reference first", "candidate first"];

/** How answers are named and what is asked for, by category; `system` goes before. */
export interface Rules {
  readonly system: string;
  readonly of: (category: string, hasBoxes: boolean) => { readonly role: string; readonly prompt: string };
}

const ownRule = {
  role: "Assistant",
  prompt: `Two assistants answered the question above while looking at the picture that the context describes. You cannot see the picture: rely on the context.
Judge how helpful, relevant, correct and detailed each answer is, and give each a score from 1 to 10, higher being better. Which of them stands first says nothing about its quality.
Begin with one line that holds the two scores alone, Assistant 1's first, with a space between them. Explain them in the lines after it.`,
};
const ownRules: Rules = {
  system: "You compare answers to questions about pictures, precisely and without favour.",
  of: () => ownRule,
};

const ruleFile = z.record(z.string(), z.object({ role: z.string(), prompt: z.string() }));

/**
 * Rules in LLaVA's layout (table/rule.json: `{ CATEGORY: { role, prompt } }`, those for contexts without boxes named
 * llava_bench_CATEGORY), or the built-in one. Throws `JUDGE_RULES`, and from `of` `JUDGE_CATEGORY`.
 */
export async function readRules(path?: string): Promise<Rules> {
  if (path === undefined) return ownRules;
  const parsed = ruleFile.safeParse(await readJsonFile(path));
  if (!parsed.success) {
    const expected = "rules by category, each with role and prompt";
    throw new InputError("JUDGE_RULES", { expected, got: parsed.error.issues[0]!.message, where: path });
  }
  const rules = new Map(Object.entries(parsed.data));
  const of: Rules["of"] = (category, hasBoxes) => {
    const rule = (hasBoxes ? undefined : rules.get(`llava_bench_${category}`)) ?? rules.get(category);
    if (rule !== undefined) return rule;
    throw new InputError("JUDGE_CATEGORY", { expected: "a rule for every category", got: category, where: path });
  };
  return { system: ownRules.system, of };
}

export interface Judge {
  readonly model: string;
  readonly rules: Rules;
  readonly temperature: number;
  readonly maxTokens: number;
}

/** The request for one judgement; repeats differ by their seed. */
export function requestFor(judged: Judged, order: Order, repeat: number, judge: Judge): ChatRequest {
  const { role, prompt } = judge.rules.of(judged.category, judged.hasBoxes);
  const { reference, candidate, context, question } = judged;
  const [first, second] = order === "reference first" ? [reference, candidate] : [candidate, reference];
  const answer = (n: number, text: string): string => `[${role} ${n}]\n${text}\n\n[End of ${role} ${n}]\n\n`;
  const content =
    `[Context]\n${context}\n\n[Question]\n${question}\n\n` +
    `${answer(1, first)}${answer(2, second)}[System]\n${prompt}\n\n`;
  return {
    model: judge.model,
    messages: [
      { role: "system", content: judge.rules.system },
      { role: "user", content },
    ],
    maxTokens: judge.maxTokens,
    temperature: judge.temperature,
    seed: repeat,
  };
}

/** What a judgement is known by in the ledger: its request, its place among the repeats. */
export function keyOf(request: ChatRequest, id: string): string {
  return createHash("sha256")
    .update(JSON.stringify([id, request]))
    .digest("hex")
    .slice(0, 32);
}
