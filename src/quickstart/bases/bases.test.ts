// The tiny bases' making: a vocabulary that loses nothing, notes that hold their answers, patches that are named right.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDirectEngine } from "../../runtime/node.ts";
import { createTokenizer } from "../../text/tokenizer.ts";
import { parsePreprocessor } from "../../image/preprocessor.ts";
import { parseVisionConfig } from "../../models/config.ts";
import { embeddingName } from "../../models/llama.ts";
import { colours, nouns, places } from "../scenes.ts";
import { controls, learnTokenizer } from "./bpe.ts";
import { makeCrowdedScene, patchClasses } from "./crowded.ts";
import { startingLanguage } from "./language-start.ts";
import { noteOf } from "./notes.ts";
import { readingSamples } from "./reading.ts";
import { languageConfigJson, preprocessorJson, visionConfigJson } from "./shapes.ts";
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

describe("reading matter", () => {
  test("has no pictures, and notes that hold the answers to its questions", async () => {
    const samples = await readingSamples(60, 3);
    expect(samples.every(({ images }) => images.length === 0)).toBe(true);
    const presence = samples.flatMap(({ conversations: [question, answer] }) => {
      const asked = /^([A-Z ]+)\nIs there an? (\w+) in the image\?$/.exec(question!.value);
      return asked ? [{ note: asked[1]!, name: asked[2]!, answer: answer!.value }] : [];
    });
    expect(presence.length).toBeGreaterThan(5);
    for (const { note, name, answer } of presence) {
      expect(note.split(" ").includes(name.toUpperCase()), `${note} / ${name}`).toBe(answer.startsWith("Yes"));
    }
  });

  test("checks say yes to what the note names and no to the rest", async () => {
    const samples = await readingSamples(40, 4);
    const checks = samples.filter(({ id }) => id.endsWith("-checks"));
    expect(checks).toHaveLength(40);
    for (const { conversations } of checks) {
      const named = new Set(conversations[0]!.value.split("\n")[0]!.toLowerCase().split(" "));
      for (const verdict of conversations[1]!.value.split(", ")) {
        const [word, said] = verdict.split(" ") as [string, string];
        expect(said).toBe(named.has(word) ? "yes" : "no");
      }
    }
  });

  test("a note names the thing that covers a cell, in its colour, and the place elsewhere", () => {
    const thing = { noun: "boat", colour: "red", x: 0.125, y: 0.375, size: 0.22, tilt: 0 } as const;
    const cells = noteOf({ id: "one", place: "night sky", things: [thing], seed: 0 }).split(" ");
    expect(cells).toEqual([...Array(4).fill("SKY"), "RED", "BOAT", ...Array(11).fill("SKY")]);
  });
});

test("a language model starts with words that look alike in every script, and heads that look for the same", async () => {
  const start = await startingLanguage(["Ġboat", "ĠBOAT", "Boat", "Ġcat"], 0, { ...languageConfigJson, vocab_size: 4 });
  const embedding = await start.load(embeddingName);
  const width = languageConfigJson.hidden_size;
  const cosine = (a: number, b: number): number => {
    const [x, y] = [a, b].map((id) => embedding.subarray(id * width, (id + 1) * width)) as [Float32Array, Float32Array];
    const dot = (p: Float32Array, q: Float32Array): number => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  };
  expect(cosine(0, 1)).toBeGreaterThan(0.65);
  expect(cosine(0, 2)).toBeGreaterThan(0.65);
  expect(Math.abs(cosine(0, 3))).toBeLessThan(0.45);
  const [q, k] = [
    await start.load("model.layers.1.self_attn.q_proj.weight"),
    await start.load("model.layers.1.self_attn.k_proj.weight"),
  ];
  expect(k.subarray(0, k.length / 2)).toEqual(q.subarray(0, q.length / 2));
  expect(k.subarray(k.length / 2)).not.toEqual(q.subarray(q.length / 2));
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
