// The first look over a whole source: its names, which presence questions go where, how answers are balanced.
import { random } from "../../data/random.ts";
import { rereadable, type PictureSource } from "../source.ts";
import { factKinds, type FactKindName } from "./kinds.ts";
import { indexMentions, type MentionIndex } from "./mention.ts";
import { planPresence, type PresenceBalance, type PresenceChoice, type PresencePlan } from "./plan.ts";
import { namesOf, studyPicture, type Scene } from "./scene.ts";
import { countCooccurrence, keepProbabilities, type Cooccurrence } from "./statistics.ts";
import { knownNames } from "./synonyms.ts";

/** How many questions of each kind one picture gets on average. */
export type Mixture = Readonly<Record<FactKindName, number>>;

/** What is known of a source before the first question is written. */
export interface Survey {
  readonly index: MentionIndex;
  /** by the picture's place in the source */
  readonly plans: readonly PresencePlan[];
  /** for each balanced kind, the probability to keep each answer */
  readonly keep: ReadonlyMap<FactKindName, ReadonlyMap<string, number>>;
}

/** Names and how often they share a picture, over a whole source. */
export interface Vocabulary {
  readonly index: MentionIndex;
  readonly statistics: Cooccurrence;
}

const noPlan: PresencePlan = { yes: [], no: [] };

/** Reads the source once for its names. */
export async function readVocabulary(source: PictureSource): Promise<Vocabulary> {
  const read = await rereadable(source);
  const sets: Set<string>[] = [];
  let boxed = true;
  for await (const picture of read()) {
    boxed &&= picture.objects !== undefined;
    sets.push(namesOf(picture));
  }
  const statistics = countCooccurrence(sets);
  // without boxes, captions are searched for the names that the project knows
  const names = boxed ? statistics.names : new Set([...statistics.names, ...knownNames()]);
  return { index: indexMentions(names), statistics };
}

/** Reads the source twice and plans; the same source, mixture and seed give the same survey. */
export async function surveySource(
  read: Awaited<ReturnType<typeof rereadable>>,
  options: {
    readonly mixture: Mixture;
    readonly smallest: number;
    readonly balance: PresenceBalance;
    readonly seed: number;
  },
): Promise<Survey> {
  const { mixture, smallest, balance, seed } = options;
  const { index, statistics } = await readVocabulary(read());
  const choices: PresenceChoice[] = [];
  const tallies = new Map<FactKindName, Map<string, number>>();
  for await (const picture of read()) {
    const scene = studyPicture(picture, index);
    choices.push(choiceOf(scene, smallest, wanted(mixture.presence, seed, "presence", picture)));
    for (const kind of factKinds) {
      if (kind.balance === undefined || mixture[kind.name] === 0) continue;
      const answers = kind.answers({ scene, presence: noPlan });
      const tally = tallies.get(kind.name) ?? new Map<string, number>();
      tallies.set(kind.name, tally);
      // of many candidates in one picture only so many are asked
      const weight = Math.min(1, mixture[kind.name] / answers.length);
      for (const answer of answers) tally.set(answer, (tally.get(answer) ?? 0) + weight);
    }
  }
  const plans = planPresence(choices, statistics, random(seed, "presence plan"), balance);
  return { index, plans, keep: keepAll(tallies) };
}

/** How many questions of a kind one picture gets: the whole part for sure, the fraction by chance. */
export function wanted(amount: number, seed: number, kind: string, picture: { readonly id: string }): number {
  const whole = Math.floor(amount);
  return whole + (amount > whole && random(seed, "amount", kind, picture.id).chance(amount - whole) ? 1 : 0);
}

function choiceOf(scene: Scene, smallest: number, wanted: number): PresenceChoice {
  const present = [...scene.groups.values()].filter(({ area }) => area >= smallest).map(({ name }) => name);
  return { present, doubtful: scene.doubtful, wanted: scene.boxed ? wanted : 0 };
}

function keepAll(tallies: ReadonlyMap<FactKindName, ReadonlyMap<string, number>>): Survey["keep"] {
  const keep = new Map<FactKindName, ReadonlyMap<string, number>>();
  for (const { name, balance } of factKinds) {
    const tally = tallies.get(name);
    if (balance !== undefined && tally !== undefined) keep.set(name, keepProbabilities(tally, balance.share));
  }
  return keep;
}
