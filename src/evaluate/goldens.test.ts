// Captions and answers against pycocoevalcap and LLaVA's own evaluator (goldens/make.py).
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { cider } from "./captions/cider.ts";
import { captionWords } from "./captions/ptb.ts";
import { rougeL } from "./captions/rouge.ts";
import { scoreOf } from "./score.ts";
import type { Answered } from "./task.ts";
import { captions } from "./tasks/captions.ts";
import { leaveOneOut, normaliseEvalAi, normaliseVqa } from "./vqa-normalise.ts";

function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`./goldens/${name}.json`, import.meta.url), "utf8")) as T;
}

const made = golden<{
  scores: { bleu: number[]; cider: number; rouge_l: number };
  captions: {
    said: string;
    references: string[];
    words: string;
    reference_words: string[];
    cider: number;
    rouge_l: number;
  }[];
}>("captions");
const people = golden<{
  normalised: { text: string; evalai: string; vqa: string }[];
  textvqa: { said: string; answers: string[]; score: number }[];
}>("answers");

it("splits captions as the COCO evaluation's tokenizer does", () => {
  for (const { said, references, words, reference_words } of made.captions) {
    expect([said, ...references].map((text) => captionWords(text).join(" "))).toEqual([words, ...reference_words]);
  }
});

it("scores captions as pycocoevalcap does: CIDEr-D, BLEU and ROUGE-L", () => {
  const answered = made.captions.map(({ said, references }, i): Answered => {
    const turn = { role: "user" as const, content: [] };
    return { question: { id: `${i}`, images: [`${i}`], turn, label: "", labels: references, where: "" }, answer: said };
  });
  const { bleu, cider: whole, rouge_l } = made.scores;
  const { bleu_1, bleu_2, bleu_3, bleu_4, ...others } = scoreOf(captions, answered);
  for (const [i, score] of [bleu_1, bleu_2, bleu_3, bleu_4].entries()) expect(score).toBeCloseTo(bleu[i]!, 8);
  expect(others.cider).toBeCloseTo(whole, 8);
  expect(others.rouge_l).toBeCloseTo(rouge_l, 8);
});

it("scores each caption as pycocoevalcap does", () => {
  const split = made.captions.map(({ words, reference_words }) => ({
    words: words.split(" ").filter(Boolean),
    references: reference_words.map((text) => text.split(" ")),
  }));
  const scores = cider(split);
  for (const [i, { cider: one, rouge_l }] of made.captions.entries()) {
    expect(scores[i]).toBeCloseTo(one, 8);
    expect(rougeL(split[i]!.words, split[i]!.references)).toBeCloseTo(rouge_l, 8);
  }
});

it("normalises answers as EvalAI's processor and the VQA evaluation do", () => {
  for (const { text, evalai, vqa } of people.normalised) {
    expect([text, normaliseEvalAi(text), normaliseVqa(text)]).toEqual([text, evalai, vqa]);
  }
  expect(people.normalised.length).toBeGreaterThan(150);
});

it("agrees with people as TextVQA's evaluator does", () => {
  for (const { said, answers, score } of people.textvqa)
    expect(leaveOneOut(normaliseEvalAi(said), answers.map(normaliseEvalAi))).toBeCloseTo(score, 12);
});
