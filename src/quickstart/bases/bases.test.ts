// The tiny bases' making: a vocabulary that loses nothing, notes that hold their answers, patches that are named right.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDirectEngine } from "../../runtime/node.ts";
import { createTokenizer } from "../../text/tokenizer.ts";
import { parsePreprocessor } from "../../image/preprocessor.ts";
import { parseVisionConfig } from "../../models/config.ts";
import { colours, nouns, places } from "../scenes.ts";
import { controls, learnTokenizer } from "./bpe.ts";
import { makeCrowdedScene, patchClasses } from "./crowded.ts";
import { readingSamples } from "./reading.ts";
import { preprocessorJson, visionConfigJson } from "./shapes.ts";
import { trainTower } from "./tower.ts";

describe("the learned vocabulary", () => {
  const text = "the red car and the red cat sat on the red mat; the cat's hat is red";
  const tokenizer = createTokenizer({ ...learnTokenizer([text, text], 280), where: "test" });

  test("merges what is frequent and keeps its size", () => {
    expect(tokenizer.vocabSize).toBe(280);
    expect(tokenizer.encode(" red").length).toBe(1);
    expect(tokenizer.encode(text).length).toBeLessThan(text.length / 2);
  });

  test("gives back any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (any) => {
        expect(tokenizer.decode(tokenizer.encode(any))).toBe(any);
      }),
    );
  });

  test("has ChatML's control tokens, which text never becomes", () => {
    expect(controls.map((token) => tokenizer.controlId(token))).toEqual([0, 1, 2]);
    expect(tokenizer.encode("<|im_end|>").every((id) => id > 2)).toBe(true);
  });

  test("is a pure function of its texts", () => {
    expect(learnTokenizer([text, text], 280)).toEqual(learnTokenizer([text, text], 280));
  });
});

test("notes hold the answers to their questions", async () => {
  const samples = await readingSamples(60, 3);
  expect(samples.every(({ images }) => images.length === 0)).toBe(true);
  const first = samples.map(({ conversations: [question, answer] }) => ({
    text: question!.value,
    answer: answer!.value,
  }));
  const presence = first.flatMap(({ text, answer }) => {
    const asked = /\nIs there an? (\w+) in the image\?$/.exec(text);
    return asked ? [{ note: text.slice(0, asked.index), name: asked[1]!, answer }] : [];
  });
  expect(presence.length).toBeGreaterThan(5);
  for (const { note, name, answer } of presence) {
    expect(new RegExp(`\\b${name}`).test(note), `${note} / ${name}`).toBe(answer.startsWith("Yes"));
  }
});

test("patches are named after what lies on their middle", () => {
  fc.assert(
    fc.property(fc.nat(500), (index) => {
      const scene = makeCrowdedScene(1, index);
      const classes = patchClasses(scene, 8);
      const covered = (x: number, y: number): boolean =>
        scene.things.some((thing) => Math.abs(thing.x - x) < thing.size / 2 && Math.abs(thing.y - y) < thing.size / 2);
      for (const thing of scene.things) {
        const patch = Math.floor(thing.y * 8) * 8 + Math.floor(thing.x * 8);
        expect(classes.nouns[patch]).toBe(nouns.indexOf(thing.noun));
        expect(classes.colours[patch]).toBe(colours.indexOf(thing.colour));
      }
      for (const [patch, noun] of classes.nouns.entries()) {
        if (covered(((patch % 8) + 0.5) / 8, (Math.floor(patch / 8) + 0.5) / 8)) continue;
        if (noun >= nouns.length) expect(noun).toBe(nouns.length + places.indexOf(scene.place));
      }
    }),
    { numRuns: 50 },
  );
});

test("a few steps teach the tower something, the same every time", async () => {
  const losses: number[][] = [];
  for (let run = 0; run < 2; run++) {
    const engine = await createDirectEngine({ threads: 1 });
    const seen: number[] = [];
    await trainTower({
      engine,
      config: parseVisionConfig(
        { ...visionConfigJson, num_hidden_layers: 1, hidden_size: 32, intermediate_size: 32 },
        "test",
      ),
      preprocessor: parsePreprocessor(preprocessorJson, "test"),
      ...{ seed: 0, pictures: 8, steps: 12 },
      onStep: (_, loss) => seen.push(loss),
    });
    await engine.close();
    losses.push(seen);
  }
  expect(losses[1]).toEqual(losses[0]);
  expect(losses[0]!.at(-1)).toBeLessThan(losses[0]![0]! - 0.5);
});
