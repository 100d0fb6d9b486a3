// The built-in teacher: conversations from captions and boxes by code, without a key or a network.
import type { Sample, Turn } from "../../data/sample.ts";
import { random, type Random } from "../../data/random.ts";
import { InputError } from "../../errors.ts";
import { rereadable, type PictureSource } from "../source.ts";
import type { Ask, FactContext } from "./kind.ts";
import type { PresenceBalance } from "./plan.ts";
import { defaultMixture, factKinds, type AnyKind, type FactKindName } from "./kinds.ts";
import { studyPicture } from "./scene.ts";
import { surveySource, wanted, type Mixture, type Survey } from "./survey.ts";

export interface FactsOptions {
  /** questions of each kind for one picture, on average; kinds left out keep their default, 0 leaves one out */
  readonly mixture?: Partial<Mixture>;
  /** most questions in one sample, 1–100; further ones go to a further sample. 8 unless told */
  readonly turns?: number;
  /** objects whose largest box covers less of the picture than this (0–1) are not asked after; 0.001 unless told */
  readonly smallest?: number;
  /** what holds as many yes as no: every object over the whole source ("object", unless told) or every picture */
  readonly balance?: PresenceBalance;
  /** wordings: of many forms ("varied", unless told), or, for kinds that have one, the short-answer form of test questions */
  readonly answers?: AnswerForm;
  readonly seed?: number;
}

export type AnswerForm = "varied" | "short";

/** Stands for the picture in a human turn. */
const placeholder = "<image>\n";

/**
 * Writes conversations for every picture: yes/no questions balanced for every object (or picture), counts,
 * positions, sizes, colours, lists and descriptions, as far as captions and boxes agree. Mixed short questions share a
 * sample; lists and descriptions, which would give away the rest, stand alone. The same source and options give the
 * same samples in the same order. A re-readable source is read three times, any other is held in memory.
 *
 * @throws InputError `FACTS_MIXTURE` (unknown kind, negative amount), `FACTS_OPTION`, `SOURCE_CHANGED` where a later
 *   reading shows other pictures than the first
 */
export async function* teachFacts(source: PictureSource, options: FactsOptions = {}): AsyncGenerator<Sample> {
  const resolved = resolve(options);
  const { mixture, turns, answers, seed } = resolved;
  const read = await rereadable(source);
  const survey = await surveySource(read, resolved);
  let place = 0;
  for await (const picture of read()) {
    const presence = survey.plans[place++];
    if (presence === undefined) throw changed(`more than ${survey.plans.length} pictures`);
    const context: FactContext = { scene: studyPicture(picture, survey.index), presence };
    const short: Asked[] = [];
    const alone: Asked[] = [];
    for (const kind of factKinds) {
      const stream = random(seed, "facts", kind.name, picture.id);
      const want = wanted(mixture[kind.name], seed, kind.name, picture);
      for (const ask of askKind(kind, answers, context, want, survey, stream))
        (kind.alone ? alone : short).push({ ...ask, kind: kind.name });
    }
    const talks = split(inOrder(random(seed, "order", picture.id).shuffle(short)), turns);
    const samples = [...talks, ...alone.map((ask) => [ask])];
    for (const [i, asks] of samples.entries()) yield sampleOf(`${picture.id}-facts-${i + 1}`, picture.image, asks);
  }
  if (place !== survey.plans.length) throw changed(`${place} pictures`);
}

interface Asked extends Ask {
  readonly kind: FactKindName;
}

function askKind(
  kind: AnyKind,
  answers: AnswerForm,
  context: FactContext,
  want: number,
  survey: Survey,
  stream: Random,
): Ask[] {
  // which objects are asked after is planned, also how many
  const most = kind.name === "presence" ? Number.MAX_SAFE_INTEGER : want;
  if (most === 0) return [];
  const ask = answers === "short" && kind.short ? kind.examine : kind.ask;
  return ask(context, most, survey.keep.get(kind.name) ?? new Map(), stream);
}

/** Puts a question after an object's presence before every question that gives the object away. */
function inOrder(asks: readonly Asked[]): Asked[] {
  const waiting = new Map(asks.filter(({ seeks }) => seeks !== undefined).map((ask) => [ask.seeks, ask]));
  const ordered: Asked[] = [];
  for (const ask of asks) {
    if (ask.seeks === undefined) {
      for (const name of ask.reveals) {
        const first = waiting.get(name);
        if (first !== undefined && waiting.delete(name)) ordered.push(first);
      }
      ordered.push(ask);
    } else if (waiting.delete(ask.seeks)) ordered.push(ask);
  }
  return ordered;
}

/** Parts of nearly equal length, none longer than `most`. */
function split<T>(items: readonly T[], most: number): T[][] {
  const parts = Math.ceil(items.length / most);
  const start = (part: number): number => Math.round((part * items.length) / parts);
  return Array.from({ length: parts }, (_, part) => items.slice(start(part), start(part + 1)));
}

function sampleOf(id: string, image: string, asks: readonly Asked[]): Sample {
  const conversations = asks.flatMap(({ question, answer }, i): Turn[] => [
    { from: "human", value: i === 0 ? placeholder + question : question },
    { from: "gpt", value: answer },
  ]);
  return {
    id,
    images: [image],
    conversations,
    extra: { teacher: "facts", kinds: asks.map(({ kind }) => kind) },
    where: id,
  };
}

function resolve({
  mixture = {},
  turns = 8,
  smallest = 0.001,
  balance = "object",
  answers = "varied",
  seed = 0,
}: FactsOptions): {
  readonly mixture: Mixture;
  readonly turns: number;
  readonly smallest: number;
  readonly balance: PresenceBalance;
  readonly answers: AnswerForm;
  readonly seed: number;
} {
  for (const [kind, amount] of Object.entries(mixture)) {
    const known = Object.keys(defaultMixture);
    if (!known.includes(kind)) {
      const fix = `choose among ${known.join(", ")}`;
      throw new InputError("FACTS_MIXTURE", {
        expected: "a kind of question",
        got: `"${kind}"`,
        where: "mixture",
        fix,
      });
    }
    if (!(amount >= 0 && amount <= 100)) {
      throw new InputError("FACTS_MIXTURE", {
        expected: "0 to 100 questions a picture",
        got: String(amount),
        where: kind,
      });
    }
  }
  if (!Number.isInteger(turns) || turns < 1 || turns > 100) {
    throw new InputError("FACTS_OPTION", {
      expected: "1 to 100 questions in a sample",
      got: String(turns),
      where: "turns",
    });
  }
  if (!(smallest >= 0 && smallest <= 1)) {
    throw new InputError("FACTS_OPTION", { expected: "a share from 0 to 1", got: String(smallest), where: "smallest" });
  }
  return { mixture: { ...defaultMixture, ...mixture }, turns, smallest, balance, answers, seed };
}

function changed(got: string): InputError {
  return new InputError("SOURCE_CHANGED", {
    expected: "the same pictures at every reading",
    got,
    fix: "leave the source alone while it is read, then run it again",
  });
}
