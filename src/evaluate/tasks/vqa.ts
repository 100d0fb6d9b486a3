// Questions with one right answer, in LLaVA's JSON: exact match after normalising.
import { streamSamples } from "../../data/samples.ts";
import { isRecord } from "../../data/untrusted.ts";
import { imageMarker, turnsOf } from "../../text/conversation.ts";
import { userTurn } from "../../generate/assistant.ts";
import type { Answered, Question, Score, Task } from "../task.ts";

export interface VqaScore extends Score {
  /** by the samples' `kind`, where they name one */
  readonly kinds?: Readonly<Record<string, Score>>;
}

const numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/**
 * An answer without case, punctuation, articles and number words ("Two dogs." = "2 dogs"): the steps of the VQA
 * evaluation (Antol et al. 2015, arXiv 1505.00468, §3) without its list of contractions.
 */
export function normaliseAnswer(text: string): string {
  const words = text
    .normalize("NFKC")
    .toLowerCase()
    // a point or comma inside a number stays
    .replaceAll(/(?<!\d)[.,]|[.,](?!\d)/gu, " ")
    .replaceAll(/['’]/gu, "")
    .replaceAll(/[^\p{L}\p{N}\p{M}.,]+/gu, " ")
    .split(" ")
    .filter((word) => word !== "" && word !== "a" && word !== "an" && word !== "the");
  return words.map((word) => (numbers.includes(word) ? String(numbers.indexOf(word)) : word)).join(" ");
}

export const vqa: Task<VqaScore> = {
  name: "vqa",
  questions: readQuestions,
  maxNewTokens: 64,
  isCorrect,
  score: (answered) => {
    const kinds = new Map<string, Answered[]>();
    for (const each of answered) {
      const { kind } = each.question;
      if (kind !== undefined) kinds.set(kind, [...(kinds.get(kind) ?? []), each]);
    }
    const byKind = [...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, part]) => [kind, accuracy(part)]);
    return {
      ...accuracy(answered),
      ...(kinds.size > 0 && { kinds: Object.fromEntries(byKind) as VqaScore["kinds"] & {} }),
    };
  },
};

function isCorrect({ question, answer }: Answered): boolean {
  return normaliseAnswer(answer) === normaliseAnswer(question.label);
}

function accuracy(answered: readonly Answered[]): Score {
  const n = answered.length;
  return { n, accuracy: n === 0 ? 0 : answered.filter(isCorrect).length / n };
}

/**
 * The questions of samples; those of one conversation are asked each on its own, with the sample's pictures, so that no
 * right answer helps the next. A kind comes from `kind`, or from `kinds` by turn. Throws as `streamSamples`.
 */
async function* readQuestions(path: string): AsyncGenerator<Question> {
  for await (const { id, images, conversations, extra, where } of streamSamples(path)) {
    const turns = turnsOf(conversations, images.length);
    const answered = Math.floor(conversations.length / 2);
    for (let i = 0; i < answered; i++) {
      const [question, label] = [conversations[2 * i]!, conversations[2 * i + 1]!];
      // only a first turn with all pictures keeps their places; others get them in front
      const asIs = i === 0 && question.value.split(imageMarker).length - 1 === images.length;
      const words = question.value.replaceAll(imageMarker, "").trim();
      const turn = asIs ? turns[0]! : userTurn(words, images.length);
      const kind = kindOf(extra, i);
      yield {
        id: answered === 1 ? id : `${id}-${i + 1}`,
        images,
        turn,
        label: label.value,
        where,
        ...(kind !== undefined && { kind }),
      };
    }
  }
}

function kindOf(extra: unknown, turn: number): string | undefined {
  if (!isRecord(extra)) return undefined;
  const { kind, kinds } = extra;
  const named: unknown = kind ?? (Array.isArray(kinds) ? kinds[turn] : undefined);
  return typeof named === "string" ? named : undefined;
}
