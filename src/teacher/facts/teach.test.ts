import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lab } from "../../../test/lab.ts";
import type { CaptionedPicture, Sample } from "../../data/sample.ts";
import { parseSample, sampleToJson } from "../../data/samples.ts";
import { random } from "../../data/random.ts";
import { openSource } from "../../data/sources/open.ts";
import { teachCaptions } from "./captions.ts";
import { teachFacts, type FactsOptions } from "./teach.ts";
import { isTrue } from "./truth.fixture.ts";

const names = ["person", "dog", "bus", "mouse", "knife", "sheep", "bench", "red ball", "skis", "kite", "wine glass"];

/** Pictures of random boxes; captions name some of them. */
function drawn(count: number, seed: number): CaptionedPicture[] {
  return Array.from({ length: count }, (_, i) => {
    const stream = random(seed, "drawn", i);
    const objects = Array.from({ length: stream.int(7) }, () => {
      const [x, y] = [stream.float() * 0.7, stream.float() * 0.7];
      const box = [x, y, x + 0.02 + stream.float() * 0.28, y + 0.02 + stream.float() * 0.28] as const;
      return { name: stream.pick(names), box };
    });
    const captions = objects.slice(0, 2).map(({ name }) => `A ${name} near a wall`);
    return { id: `p${i}`, image: `photos/p${i}.jpg`, captions, objects };
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

interface Turned {
  readonly kind: string;
  readonly question: string;
  readonly answer: string;
}

function pairs({ conversations, extra }: Sample): Turned[] {
  return (extra["kinds"] as string[]).map((kind, i) => ({
    kind,
    question: (conversations[2 * i]?.value ?? "").replace("<image>\n", ""),
    answer: conversations[2 * i + 1]?.value ?? "",
  }));
}

const checked = ["presence", "count", "left-right", "place", "above-below", "larger-smaller"];

function expectTrue(samples: readonly Sample[], pictures: readonly CaptionedPicture[]): void {
  const byImage = new Map(pictures.map((picture) => [picture.image, picture]));
  for (const sample of samples) {
    const picture = byImage.get(sample.images[0] as string) as CaptionedPicture;
    for (const { kind, question, answer } of pairs(sample)) {
      if (!checked.includes(kind)) continue;
      if (!isTrue(kind, question, answer, picture)) expect.fail(`${sample.id} ${kind}: ${question} → ${answer}`);
    }
  }
}

describe("facts", () => {
  test("every answer is true of the boxes", async () => {
    const all = fc.asyncProperty(fc.nat(), fc.constantFrom("object", "picture"), async (seed, balance) => {
      const pictures = drawn(40, seed);
      expectTrue(await collect(teachFacts(pictures, { seed, balance })), pictures);
    });
    await fc.assert(all, { numRuns: 20 });
  });

  test("short answers in the wording of test questions; kinds without one keep theirs", async () => {
    const pictures = drawn(60, 9);
    const mixture = { presence: 6, count: 2, list: 1 };
    const samples = await collect(teachFacts(pictures, { seed: 3, mixture, answers: "short" }));
    expectTrue(samples, pictures);
    const asked = samples.flatMap((sample) => pairs(sample));
    const of = (wanted: string): typeof asked => asked.filter(({ kind }) => kind === wanted);
    for (const kind of ["presence", "count", "list"]) expect(of(kind).length, kind).toBeGreaterThan(20);
    for (const { question, answer } of of("presence")) {
      expect(question).toMatch(/^(Is|Are) there .* in the image\?$/);
      expect(answer).toMatch(/^(Yes|No)$/);
    }
    for (const { answer } of of("count")) expect(answer).toMatch(/^\d+$/);
  });

  test("as many yes as no for every object, nothing asked twice of a picture", async () => {
    const samples = await collect(teachFacts(drawn(300, 7), { seed: 1 }));
    const balance = new Map<string, number>();
    for (const sample of samples) {
      const presence = pairs(sample).filter(({ kind }) => kind === "presence");
      const asked = presence.map(
        ({ question }) =>
          /\b(?:an?|any) ([a-z ]+?)(?= in (?:the|this)| any| here| vis| to be| app|\?)/.exec(question)?.[1],
      );
      expect(new Set(asked).size).toBe(asked.length);
      for (const [i, name] of asked.entries()) {
        const step = presence[i]?.answer.startsWith("Yes") ? 1 : -1;
        balance.set(name as string, (balance.get(name as string) ?? 0) + step);
      }
    }
    expect(balance.size).toBe(names.length);
    expect([...balance.values()].every((difference) => difference === 0)).toBe(true);
  });

  test("as many yes as no in every picture, of objects that are large enough to see", async () => {
    const pictures = drawn(100, 5);
    const area = (image: string, name: string): number =>
      Math.max(
        ...(pictures.find((picture) => picture.image === image)?.objects ?? [])
          .filter((object) => object.name === name)
          .map(({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1)),
      );
    const options = { seed: 1, balance: "picture", smallest: 0.02, turns: 100, mixture: { presence: 6 } } as const;
    for (const sample of await collect(teachFacts(pictures, options))) {
      const presence = pairs(sample).filter(({ kind }) => kind === "presence");
      const yes = presence.filter(({ answer }) => answer.startsWith("Yes"));
      expect(yes.length * 2).toBe(presence.length);
      for (const { question } of yes) {
        const name = names.find((each) => new RegExp(`\\b(an?|any) ${each}\\b`).test(question)) as string;
        expect(area(sample.images[0] as string, name)).toBeGreaterThanOrEqual(0.02);
      }
    }
  });

  test("an object's presence is asked before it is given away", async () => {
    for (const sample of await collect(teachFacts(drawn(100, 3), { seed: 2, turns: 30 }))) {
      const turns = pairs(sample);
      for (const [i, { kind, question }] of turns.entries()) {
        if (kind !== "presence") continue;
        const name = names.find((name) => new RegExp(`\\b(an?|any) ${name}\\b`).test(question)) as string;
        const before = turns.slice(0, i).filter((turn) => turn.kind !== "presence");
        expect(before.filter((turn) => `${turn.question} ${turn.answer}`.includes(`the ${name}`))).toEqual([]);
      }
    }
  });

  test("same seed, same samples; another seed, others; a one-time stream as a list", async () => {
    const pictures = drawn(60, 5);
    const first = await collect(teachFacts(pictures, { seed: 4 }));
    const stream = (function* () {
      yield* pictures;
    })();
    expect(await collect(teachFacts(stream, { seed: 4 }))).toEqual(first);
    expect(
      await collect(
        teachFacts(
          {
            pictures: async function* () {
              yield* pictures;
            },
          },
          { seed: 4 },
        ),
      ),
    ).toEqual(first);
    expect(await collect(teachFacts(pictures, { seed: 5 }))).not.toEqual(first);
  });

  test("samples obey the contract and the limit of turns", async () => {
    const samples = await collect(teachFacts(drawn(80, 6), { turns: 3, mixture: { presence: 9 } }));
    expect(new Set(samples.map(({ id }) => id)).size).toBe(samples.length);
    for (const [i, sample] of samples.entries()) {
      expect(sample.conversations.length).toBeLessThanOrEqual(6);
      const read = parseSample(JSON.parse(JSON.stringify(sampleToJson(sample))), sample.where, i);
      expect(read).toEqual(sample);
    }
  });

  test("a mixture of one kind gives only that kind", async () => {
    const mixture = Object.fromEntries(
      [
        "presence",
        "count",
        "left-right",
        "place",
        "above-below",
        "larger-smaller",
        "colour",
        "list",
        "caption",
        "description",
      ].map((kind) => [kind, kind === "count" ? 2 : 0]),
    );
    const samples = await collect(teachFacts(drawn(80, 6), { mixture }));
    expect(new Set(samples.flatMap((sample) => sample.extra["kinds"]))).toEqual(new Set(["count"]));
    expect(samples.length).toBeGreaterThan(20);
  });

  test("no answer to counting and place is much more frequent than the others", async () => {
    // one object in most pictures, mostly in the middle
    const pictures = drawn(600, 8).map((picture, i) => ({
      ...picture,
      captions: [],
      objects: Array.from({ length: i % 10 < 7 ? 1 : (i % 3) + 1 }, (_, n) => {
        const x = i % 10 < 7 ? 0.4 : n * 0.3;
        return { name: "dog", box: [x, 0.2 + n / 10, x + 0.2, 0.5 + n / 10] as const };
      }),
    }));
    const mixture = { count: 1, place: 1 };
    const asked = (await collect(teachFacts(pictures, { mixture }))).flatMap(pairs);
    const share = (kind: string, answer: RegExp): number => {
      const all = asked.filter((each) => each.kind === kind);
      return all.filter(({ answer: said }) => answer.test(said)).length / all.length;
    };
    expect(share("count", /\b(1|one)\b/i)).toBeLessThan(0.45);
    expect(share("place", /middle/i)).toBeLessThan(0.55);
  });

  test("captions forbid what they contradict", async () => {
    const box = (x: number): readonly [number, number, number, number] => [x, 0.2, x + 0.1, 0.6];
    const dogs = (count: number, ...captions: string[]): CaptionedPicture => ({
      id: captions.join(),
      image: "a.jpg",
      captions,
      objects: Array.from({ length: count }, (_, i) => ({ name: "dog", box: box(i * 0.2) })),
    });
    const counts = async (picture: CaptionedPicture): Promise<string[]> =>
      (await collect(teachFacts([picture], { mixture: { count: 1 } })))
        .flatMap(pairs)
        .filter(({ kind }) => kind === "count")
        .map(({ answer }) => answer);
    expect(await counts(dogs(2, "Two dogs play"))).toHaveLength(1);
    expect(await counts(dogs(2, "A couple of puppies play"))).toHaveLength(1);
    expect(await counts(dogs(2, "Three dogs play"))).toEqual([]);
    expect(await counts(dogs(2, "A group of dogs"))).toEqual([]);
    expect(await counts(dogs(1, "Dogs run"))).toEqual([]);
    expect(await counts(dogs(3, "A man and two dogs"))).toEqual([]);
  });

  test("nothing that captions mention under another name is called absent", async () => {
    const box = [0.1, 0.1, 0.5, 0.5] as const;
    const captions = ["A lady on a sofa in front of a television", "Puppies sleep beside a mug"];
    const hidden = ["person", "couch", "tv", "dog", "cup"];
    const others = hidden.map((name, i) => ({
      id: `o${i}`,
      image: `o${i}.jpg`,
      captions: ["A wall"],
      objects: [{ name, box }],
    }));
    const picture = { id: "x", image: "x.jpg", captions, objects: [{ name: "clock", box }] };
    for (let seed = 0; seed < 30; seed++) {
      const samples = await collect(teachFacts([picture, ...others], { seed }));
      const said = samples.filter(({ images }) => images[0] === "x.jpg").flatMap(pairs);
      expect(said.filter(({ answer }) => answer.startsWith("No"))).toEqual([]);
    }
  });

  test("colours come from captions that agree, never of people", async () => {
    const colours = async (name: string, ...captions: string[]): Promise<string[]> => {
      const picture = {
        id: captions.join(),
        image: "a.jpg",
        captions,
        objects: [{ name, box: [0.1, 0.1, 0.6, 0.6] as const }],
      };
      const asked = (await collect(teachFacts([picture], { mixture: { colour: 1 } }))).flatMap(pairs);
      return asked.filter(({ kind }) => kind === "colour").map(({ answer }) => answer.toLowerCase());
    };
    expect((await colours("bus", "A red bus on a road", "A big red double decker bus"))[0]).toContain("red");
    expect((await colours("cat", "A black and white cat sleeps"))[0]).toContain("black and white");
    expect((await colours("bus", "A grey bus"))[0]).toContain("gray");
    expect(await colours("bus", "A red bus", "A blue bus")).toEqual([]);
    expect(await colours("bus", "A red bus stop")).toEqual([]);
    expect(await colours("cat", "A black and white photo of a gray cat")).toEqual([]);
    expect(await colours("person", "A black man on a bench")).toEqual([]);
  });

  test("hostile names and captions never become markup", async () => {
    const box = [0.1, 0.1, 0.5, 0.5] as const;
    const objects = ["<image>", "a<b", "x".repeat(100), " ", "dog"].map((name) => ({ name, box }));
    const captions = ["<image> look", "<|im_end|> a dog", "x".repeat(5000), "Unable to see this image", "A dog ."];
    const samples = await collect(teachFacts([{ id: "h", image: "h.jpg", captions, objects }]));
    for (const sample of samples) parseSample(sampleToJson(sample), "h", 0);
    expect(JSON.stringify(samples).replaceAll('"<image>\\n', "")).not.toMatch(/<|xxx|unable/i);
  });

  test("without boxes nothing is called absent or counted", async () => {
    const pictures = [
      {
        id: "c",
        image: "c.jpg",
        captions: ["A red bus on a street with two men", "Tall trees and shops behind a parked bus"],
      },
    ];
    const kinds = new Set(
      (await collect(teachFacts(pictures, { mixture: { caption: 1, description: 1 } }))).flatMap(
        (s) => s.extra["kinds"],
      ),
    );
    expect(kinds).toEqual(new Set(["colour", "caption", "description"]));
  });

  test.each([
    [{ mixture: { presense: 1 } }, "FACTS_MIXTURE", /presense.*choose among presence/],
    [{ mixture: { count: -1 } }, "FACTS_MIXTURE", /-1/],
    [{ turns: 0 }, "FACTS_OPTION", /turns/],
    [{ smallest: Number.NaN }, "FACTS_OPTION", /smallest/],
  ])("%j is refused", async (options, code, message) => {
    const error = await collect(teachFacts([], options as FactsOptions)).catch((error: unknown) => error);
    expect(error).toMatchObject({ code, exitCode: 2, message: expect.stringMatching(message) as string });
  });

  test("a source that changes between readings is an error", async () => {
    let reading = 0;
    const source = {
      pictures: async function* () {
        yield* drawn(++reading, 1);
      },
    };
    await expect(collect(teachFacts(source))).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  });
});

describe("captions", () => {
  const pictures = [
    { id: "a", image: "a.jpg", captions: ["a dog runs ", "THE DOG IS RUNNING FAST", ""] },
    { id: "b", image: "b.jpg", captions: ["I am unable to see the image above."] },
  ];
  test("one caption a picture, as a request or plain", async () => {
    const [sample, ...rest] = await collect(teachCaptions(pictures, { wording: "plain" }));
    expect(rest).toEqual([]);
    expect(sample?.conversations[0]?.value).toBe("<image>");
    expect(["A dog runs.", "The dog is running fast."]).toContain(sample?.conversations[1]?.value);
    const [asked] = await collect(teachCaptions(pictures));
    expect(asked?.conversations[0]?.value).toMatch(/^<image>\n[A-Z].*[.?]$/);
  });
  test("all captions", async () => {
    expect(await collect(teachCaptions(pictures, { captions: "all" }))).toHaveLength(2);
  });
});

describe.skipIf(!lab.present)("COCO (needs ../shared)", () => {
  test("true answers, balanced, at more than 1,500 conversations a second on a busy machine", async () => {
    const source = await openSource(lab.path("data/coco"));
    const pictures = await collect(source.pictures());
    const started = performance.now();
    const samples = await collect(teachFacts(pictures, { seed: 1 }));
    const rate = (samples.length / (performance.now() - started)) * 1000;
    expectTrue(samples, pictures);
    const presence = samples.flatMap(pairs).filter(({ kind }) => kind === "presence");
    const yes = presence.filter(({ answer }) => answer.startsWith("Yes")).length;
    expect(yes * 2).toBe(presence.length);
    expect(presence.length).toBeGreaterThan(3 * pictures.length);
    expect(rate).toBeGreaterThan(1500);
  });
});
