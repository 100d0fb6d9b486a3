import { describe, expect, test } from "vitest";
import type { CaptionedPicture } from "../../data/sample.ts";
import { factQuestions, presenceQuestions, type FactQuestionOptions, type PresenceQuestion } from "./questions.ts";
import { teachFacts } from "./teach.ts";

const box = (x: number): readonly [number, number, number, number] => [x, 0.3, x + 0.15, 0.6];

/** Tables with a cup and a fork, streets with a car and a bus; a picture without boxes. */
const pictures: CaptionedPicture[] = Array.from({ length: 40 }, (_, i) => {
  const names =
    i % 2 === 0
      ? ["table", "cup", ...(i % 4 === 0 ? ["fork"] : [])]
      : ["car", "bus", ...(i % 4 === 1 ? ["truck"] : [])];
  return {
    id: `${i}`,
    image: `${i}.jpg`,
    captions: [],
    objects: names.map((name, n) => ({ name, box: box(n * 0.3) })),
  };
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function nameOf({ text }: PresenceQuestion): string {
  return /^Is there an? (.*) in the image\?$/.exec(text)?.[1] as string;
}

describe("presence", () => {
  test.each(["random", "popular", "adversarial"] as const)(
    "%s: true, as many yes as no in every picture",
    async (strategy) => {
      const questions = await collect(
        presenceQuestions([...pictures, { id: "n", image: "n.jpg", captions: ["A dog"] }], { strategy, perPicture: 4 }),
      );
      expect(questions.map(({ question_id }) => question_id)).toEqual(questions.map((_, i) => i + 1));
      for (const picture of pictures) {
        const own = questions.filter(({ image }) => image === picture.image);
        expect(own.filter(({ label }) => label === "yes")).toHaveLength(own.length / 2);
        expect(own).toHaveLength(4);
        expect(new Set(own.map(nameOf)).size).toBe(4);
        for (const question of own) {
          expect(picture.objects?.some(({ name }) => name === nameOf(question))).toBe(question.label === "yes");
        }
      }
      expect(questions.some(({ image }) => image === "n.jpg")).toBe(false);
    },
  );

  test("small objects are neither asked after nor called absent", async () => {
    const small = { name: "truck", box: [0, 0, 0.05, 0.05] as const };
    const some = pictures.map((picture) => ({ ...picture, objects: [...(picture.objects ?? []), small] }));
    const asked = await collect(presenceQuestions(some, { strategy: "random", smallest: 0.01 }));
    const trucks = asked.filter((question) => nameOf(question) === "truck").map(({ image }) => Number.parseInt(image));
    expect(asked.length).toBeGreaterThan(100);
    expect(trucks.every((i) => i % 4 === 1)).toBe(true);
  });

  test("adversarial objects are those that go with the present ones", async () => {
    const other: CaptionedPicture[] = Array.from({ length: 30 }, (_, i) => ({
      id: `z${i}`,
      image: `z${i}.jpg`,
      captions: [],
      objects: Array.from("abcdefghijklmnop", (name) => ({ name, box: box(0) })),
    }));
    const first = async (strategy: "random" | "adversarial"): Promise<string[]> => {
      const asked = await collect(
        presenceQuestions(
          [
            {
              id: "q",
              image: "q.jpg",
              captions: [],
              objects: [
                { name: "car", box: box(0) },
                { name: "bus", box: box(0.5) },
              ],
            },
          ],
          { strategy, perPicture: 40, statistics: [...pictures, ...other] },
        ),
      );
      return asked.filter(({ label }) => label === "no").map(nameOf);
    };
    expect(await first("adversarial")).toHaveLength(2);
    let trucks = 0;
    for (let seed = 0; seed < 20; seed++) {
      const asked = await collect(
        presenceQuestions([pictures[3] as CaptionedPicture], {
          strategy: "adversarial",
          perPicture: 2,
          seed,
          statistics: [...pictures, ...other],
        }),
      );
      trucks += asked.filter((question) => nameOf(question) === "truck").length;
    }
    expect(trucks).toBeGreaterThan(0);
  });

  test("the wording is among the trained ones", async () => {
    const trained = (await collect(teachFacts(pictures))).flatMap(({ conversations }) =>
      conversations.map(({ value }) => value.replace("<image>\n", "")),
    );
    const asked = await collect(presenceQuestions(pictures, { strategy: "random" }));
    const shape = (text: string): string => text.replace(/an? [a-z ]+ in/, "X in");
    expect(trained.map(shape)).toContain(shape(asked[0]?.text ?? ""));
  });
});

describe("exact match", () => {
  test.each([
    ["count", /^How many [a-z]+ are in the image\? Answer with a number\.$/, /^[1-5]$/],
    ["left-right", /^Is the .* to the left or to the right of the .*\? Answer with one word\.$/, /^(Left|Right)$/],
    [
      "place",
      /^Is the .* on the left, in the middle or on the right of the image\? Answer with one word\.$/,
      /^(Left|Middle|Right)$/,
    ],
    ["presence", /^Is there an? .* in the image\?$/, /^(Yes|No)$/],
  ] as const)("%s", async (kind, question, answer) => {
    const options: FactQuestionOptions = { kind };
    const samples = await collect(factQuestions(pictures, options));
    expect(samples.length).toBeGreaterThan(20);
    for (const { conversations } of samples) {
      expect(conversations).toHaveLength(2);
      expect(conversations[0]?.value.replace("<image>\n", "")).toMatch(question);
      expect(conversations[1]?.value).toMatch(answer);
    }
    expect(await collect(factQuestions(pictures, options))).toEqual(samples);
    const trained = (await collect(teachFacts(pictures, { mixture: { [kind]: 5 } }))).flatMap(({ conversations }) =>
      conversations.map(({ value }) => value.replace("<image>\n", "")),
    );
    expect(trained.some((text) => question.test(text))).toBe(true);
  });
});
