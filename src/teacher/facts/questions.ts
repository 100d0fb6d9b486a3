// Evaluation questions by code: presence in POPE's format, counting and left/right for exact match.
import { random } from "../../data/random.ts";
import type { Sample } from "../../data/sample.ts";
import { rereadable, type PictureSource } from "../source.ts";
import type { FactContext } from "./kind.ts";
import { defaultMixture, factKinds, type FactKindName } from "./kinds.ts";
import { presenceQuestion } from "./kinds/presence.ts";
import { rankAbsent, type AbsentStrategy } from "./plan.ts";
import { studyPicture } from "./scene.ts";
import { readVocabulary, surveySource, type Mixture } from "./survey.ts";

/** One line of a POPE question file. */
export interface PresenceQuestion {
  readonly question_id: number;
  readonly image: string;
  readonly text: string;
  readonly label: "yes" | "no";
}

export interface PresenceQuestionOptions {
  /** how the absent objects are chosen, as POPE: any, the most frequent, or those that most often occur with the present ones */
  readonly strategy: AbsentStrategy;
  /** an even number, half of each answer; a picture with fewer objects gets fewer. 6 unless told */
  readonly perPicture?: number;
  /** present objects whose largest box covers less of the picture than this (0–1) are not asked after; 0 unless told */
  readonly smallest?: number;
  readonly seed?: number;
  /** where frequencies are counted, e.g. the training pictures; the source itself unless told */
  readonly statistics?: PictureSource;
}

const noMixture = Object.fromEntries(Object.keys(defaultMixture).map((kind) => [kind, 0])) as unknown as Mixture;

/**
 * Yes/no questions after objects, as many yes as no for every picture (POPE: Li et al. 2023, arXiv 2305.10355, §4.1).
 * Stricter than POPE: what captions mention, or what other objects imply, is never called absent. Pictures without
 * boxes give no questions.
 */
export async function* presenceQuestions(
  source: PictureSource,
  { strategy, perPicture = 6, smallest = 0, seed = 0, statistics: counted }: PresenceQuestionOptions,
): AsyncGenerator<PresenceQuestion> {
  const read = await rereadable(source);
  const { index, statistics } = await readVocabulary(counted ?? read());
  let id = 1;
  for await (const picture of read()) {
    const scene = studyPicture(picture, index);
    if (!scene.boxed) continue;
    const stream = random(seed, "pope", strategy, picture.id);
    const half = Math.floor(perPicture / 2);
    const ranked = rankAbsent(
      { present: [...scene.groups.keys()], doubtful: scene.doubtful },
      strategy,
      statistics,
      half,
    );
    const visible = [...scene.groups.values()].filter(({ area }) => area >= smallest).map(({ name }) => name);
    const absent = stream.sample(ranked, Math.min(half, visible.length));
    const present = stream.sample(visible, absent.length);
    for (const [i, name] of present.entries()) {
      yield { question_id: id++, image: picture.image, text: presenceQuestion(name), label: "yes" };
      yield { question_id: id++, image: picture.image, text: presenceQuestion(absent[i] as string), label: "no" };
    }
  }
}

/** `presenceQuestions` as the lines of a POPE question file, line ends included. */
export async function presenceLines(source: PictureSource, options: PresenceQuestionOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const question of presenceQuestions(source, options)) lines.push(`${JSON.stringify(question)}\n`);
  return lines;
}

export interface FactQuestionOptions {
  readonly kind: Extract<FactKindName, "presence" | "count" | "left-right" | "place" | "colour">;
  /** most questions of one picture; 2 unless told */
  readonly perPicture?: number;
  readonly seed?: number;
}

/**
 * Questions of one kind in its fixed short-answer wording, one in each sample, for exact match. Answers are balanced
 * as in teaching, so that a constant answer earns little: at most about a third for any count.
 */
export async function* factQuestions(source: PictureSource, options: FactQuestionOptions): AsyncGenerator<Sample> {
  const { kind: name, perPicture = 2, seed = 0 } = options;
  const kind = factKinds.find((each) => each.name === name) as (typeof factKinds)[number];
  const read = await rereadable(source);
  const survey = await surveySource(read, {
    mixture: { ...noMixture, [name]: perPicture },
    smallest: 0,
    balance: "object",
    seed,
  });
  let place = 0;
  for await (const picture of read()) {
    const presence = survey.plans[place++] ?? { yes: [], no: [] };
    const context: FactContext = { scene: studyPicture(picture, survey.index), presence };
    const stream = random(seed, "exam", name, picture.id);
    const asks = kind.examine(context, perPicture, survey.keep.get(name) ?? new Map(), stream);
    for (const [i, { question, answer }] of asks.entries()) {
      const id = `${picture.id}-${name}-${i + 1}`;
      yield {
        id,
        images: [picture.image],
        conversations: [
          { from: "human", value: `<image>\n${question}` },
          { from: "gpt", value: answer },
        ],
        extra: {},
        where: id,
      };
    }
  }
}
