// Questions with one right answer, in LLaVA's JSON: exact match after normalising.
import { streamSamples } from "../../data/samples.ts";
import { isRecord } from "../../data/untrusted.ts";
import { imageMarker, turnsOf } from "../../text/conversation.ts";
import { userTurn } from "../../generate/assistant.ts";
import { meanGrade, type Question, type Task } from "../task.ts";

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

export const vqa: Task<"accuracy"> = {
  name: "vqa",
  files: "LLaVA's JSON; the answers of its conversations are the right ones",
  questions: readQuestions,
  maxNewTokens: 64,
  ...meanGrade(({ question, answer }) => (normaliseAnswer(answer) === normaliseAnswer(question.label) ? 1 : 0)),
};

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
        ...(kind !== undefined && { kinds: [kind] }),
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
