// Drills: one question whose answer holds many small ones, each right after the word that it is about.
import type { Random } from "../../data/random.ts";
import type { Sample } from "../../data/sample.ts";
import { groupsOf, join } from "../captions.ts";
import type { Scene } from "../scenes.ts";

/** A question about all of a scene, and its answer. */
interface Drill {
  readonly name: string;
  make(scene: Scene<string>, words: readonly string[], stream: Random): readonly [question: string, answer: string];
}

/** "Which of these are there: boat, cat and tree?" – "boat yes, cat no, tree no" */
const checks: Drill = {
  name: "checks",
  make(scene, words, stream) {
    const present = groupsOf(scene).map(({ noun }) => noun);
    const absent = stream.sample(
      words.filter((word) => !present.includes(word)),
      present.length + stream.int(3),
    );
    const asked = stream.shuffle([...present, ...absent]);
    const answer = asked.map((word) => `${word} ${present.includes(word) ? "yes" : "no"}`);
    return [`Which of these are there: ${join(asked)}?`, answer.join(", ")];
  },
};

/** "Name the colour of each thing." – "boat red, cat blue" */
const colours: Drill = {
  name: "colours",
  make(scene, _, stream) {
    const groups = stream.shuffle(groupsOf(scene));
    return ["Name the colour of each thing.", groups.map(({ noun, colour }) => `${noun} ${colour}`).join(", ")];
  },
};

/** The drills about a scene; `words` are what absent things are drawn from. */
export function drillSamples(scene: Scene<string>, words: readonly string[], stream: Random): Sample[] {
  return [checks, colours].map((drill) => {
    const [question, answer] = drill.make(scene, words, stream);
    const id = `${scene.id}-${drill.name}`;
    return {
      id,
      images: [scene.id],
      conversations: [
        { from: "human", value: `<image>\n${question}` },
        { from: "gpt", value: answer },
      ],
      extra: {},
      where: id,
    };
  });
}
