// Captions against people's: CIDEr-D, BLEU and ROUGE-L as the COCO evaluation computes them (Chen et al. 2015, arXiv 1504.00325).
import { z } from "zod";
import { picturePath } from "../../data/picture-path.ts";
import { refused } from "../../data/untrusted.ts";
import { userTurn } from "../../generate/assistant.ts";
import { bleuOf, bleuSums } from "../captions/bleu.ts";
import { cider } from "../captions/cider.ts";
import { captionWords } from "../captions/ptb.ts";
import { rougeL } from "../captions/rouge.ts";
import { membersOf } from "../lines.ts";
import { oneSentence } from "../prompts.ts";
import { type Answered, type Question, share, type Sums, type Task } from "../task.ts";

type Figure = "cider" | "bleu_1" | "bleu_2" | "bleu_3" | "bleu_4" | "rouge_l";

const item = z.union([
  z.object({ image_id: z.number(), caption: z.string() }),
  z.object({ id: z.number(), file_name: z.string() }),
]);

/** Rarity in CIDEr is that of the whole set of questions. */
export const captions: Task<Figure> = {
  name: "captions",
  files: "COCO's captions JSON (images, annotations)",
  questions: readImages,
  maxNewTokens: 64,
  grade: ({ question, answer }) => rougeL(captionWords(answer), wordsOf(question)),
  tally: (answered) => {
    const split = answered.map(({ question, answer }) => ({
      words: captionWords(answer),
      references: wordsOf(question),
    }));
    const rare = cider(split);
    return split.map(({ words, references }, i): Sums => {
      const single = { n: 1, cider: rare[i]!, rouge: rougeL(words, references) };
      return { ...single, ...bleuSums(words, references) };
    });
  },
  figures: (sums) => ({
    cider: share(sums["cider"] ?? 0, sums["n"] ?? 0),
    bleu_1: bleuOf(sums, 1),
    bleu_2: bleuOf(sums, 2),
    bleu_3: bleuOf(sums, 3),
    bleu_4: bleuOf(sums, 4),
    rouge_l: share(sums["rouge"] ?? 0, sums["n"] ?? 0),
  }),
  points: ["cider"],
  // CIDEr counts rarity among the questions: of few it says little, and it is no share
  compared: "rouge_l",
};

function wordsOf({ labels, label }: Answered["question"]): string[][] {
  return (labels ?? [label]).map(captionWords);
}

async function* readImages(path: string): AsyncGenerator<Question> {
  const [files, written] = [new Map<number, { name: string; where: string }>(), new Map<number, string[]>()];
  for await (const { value, where } of membersOf(path, item, (name) => name === "images" || name === "annotations")) {
    if ("file_name" in value) files.set(value.id, { name: value.file_name, where });
    else written.set(value.image_id, [...(written.get(value.image_id) ?? []), value.caption]);
  }
  for (const [id, { name, where }] of files) {
    const labels = written.get(id);
    if (labels === undefined) throw refused("QUESTION_SHAPE", "captions of every picture", `none of ${name}`, where);
    const [turn, images] = [userTurn(oneSentence, 1), [picturePath(name, where)]];
    yield { id: String(id), images, turn, label: labels[0]!, labels, where };
  }
}
