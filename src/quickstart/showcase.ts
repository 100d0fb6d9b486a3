// One held-out picture, three questions about it, and what is true.
import { groupsOf, join, phrase } from "./captions.ts";
import type { Scene } from "./scenes.ts";
import { nouns } from "./scenes.ts";

export interface ShownQuestion {
  readonly question: string;
  /** what a person would answer */
  readonly truth: string;
}

/** The first scene with a single thing whose colour can be asked for. */
export function chooseShowcase(scenes: readonly Scene[]): Scene {
  const clear = scenes.find(
    (scene) => groupsOf(scene).length === 3 && groupsOf(scene).some(({ count }) => count === 1),
  );
  return clear ?? (scenes[0] as Scene);
}

/** What there is, what there is not, and a colour. */
export function showcaseQuestions(scene: Scene): ShownQuestion[] {
  const groups = groupsOf(scene);
  const absent = nouns.find((noun) => groups.every((group) => group.noun !== noun)) ?? nouns[0];
  const single = groups.find(({ count }) => count === 1) ?? groups[0];
  return [
    { question: "What can you tell me about this picture?", truth: `${join(groups.map(phrase))}` },
    { question: `Is there a ${absent} in the picture?`, truth: "no" },
    { question: `What color is the ${single?.noun ?? absent}?`, truth: single?.colour ?? "none" },
  ];
}
