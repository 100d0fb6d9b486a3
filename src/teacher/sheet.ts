// What is known of a picture beyond its captions: its objects as facts, and things that are not there though they could be.
import { random } from "../data/random.ts";
import type { CaptionedPicture } from "../data/sample.ts";
import type { MentionIndex } from "./facts/mention.ts";
import { rankAbsent, type AbsentStrategy } from "./facts/plan.ts";
import { studyPicture, type Scene } from "./facts/scene.ts";
import type { Cooccurrence } from "./facts/statistics.ts";
import { readVocabulary } from "./facts/survey.ts";
import type { Pictures } from "./source.ts";

/** The facts of one picture, for prompts and for checks. */
export interface FactSheet {
  readonly scene: Scene;
  readonly index: MentionIndex;
  /** names that are not there, most tempting first; empty where boxes do not tell what is absent */
  absent(): readonly string[];
}

export type FactSheets = (picture: CaptionedPicture) => FactSheet;

/** Which objects go together is learned from so many pictures at the source's beginning: more would change little. */
const studied = 20_000;
/** By POPE's three ways (Li et al. 2023, arXiv 2305.10355, §4.1): what goes with the present, what is frequent, anything. */
const mix: readonly (readonly [AbsentStrategy, number])[] = [
  ["adversarial", 3],
  ["popular", 2],
  ["random", 1],
];

/** Reads the beginning of a source; the same source and seed give the same sheets. */
export async function openSheets(pictures: Pictures, seed: number): Promise<FactSheets> {
  const first: CaptionedPicture[] = [];
  for await (const picture of pictures) if (first.push(picture) >= studied) break;
  const { index, statistics } = await readVocabulary(first);
  return (picture) => {
    const scene = studyPicture(picture, index);
    return { scene, index, absent: () => absentNames(scene, statistics, seed) };
  };
}

function absentNames(scene: Scene, statistics: Cooccurrence, seed: number): string[] {
  if (!scene.boxed) return [];
  const stream = random(seed, "absent", scene.id);
  const present = [...scene.groups.keys()];
  const names: string[] = [];
  for (const [strategy, count] of mix) {
    const ranked = rankAbsent({ present, doubtful: scene.doubtful }, strategy, statistics, names.length + count);
    const left = ranked.filter((name) => !names.includes(name));
    names.push(...stream.sample(left, count));
  }
  return names;
}
