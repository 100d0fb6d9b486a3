import { describe, expect, test } from "vitest";
import type { CaptionedPicture } from "../../data/sample.ts";
import { parseReply, type QuestionAnswer } from "../parse.ts";
import { builtInKinds, readBuiltInKinds } from "../kind.ts";
import { openSheets } from "../sheet.ts";
import { judge } from "../verdict.ts";
import { checkForm, type AnswerForm } from "./form.ts";
import { checkGrounding, checkRegions } from "./grounding.ts";
import { isForeign } from "./language.ts";
import { Repeats } from "./repeats.ts";
import { checkText } from "./text.ts";

const dog = { name: "dog", box: [0.05, 0.4, 0.3, 0.9] as const };
const cat = { name: "cat", box: [0.6, 0.4, 0.9, 0.9] as const };
const chair = (x: number) => ({ name: "chair", box: [x, 0.1, x + 0.1, 0.4] as const });
const picture: CaptionedPicture = {
  id: "1",
  image: "1.jpg",
  captions: ["A dog and a cat in a kitchen with two chairs.", "A sofa stands behind a dog."],
  objects: [dog, cat, chair(0.1), chair(0.7)],
};
const others = ["car", "umbrella", "couch", "person", "orange"].map((name, i) => ({
  id: `o${i}`,
  image: `o${i}.jpg`,
  captions: ["Something."],
  objects: [{ name, box: [0, 0, 1, 1] as const }],
}));
const sheets = await openSheets([picture, ...others], 0);
const sheet = sheets(picture);
const pair = (question: string, answer: string): QuestionAnswer => ({ question, answer });
const ground = (question: string, answer: string, form: AnswerForm = "text"): string | undefined =>
  checkGrounding([pair(question, answer)], form, sheet);

describe("against captions and boxes", () => {
  test.each([
    ["What stands there?", "A car stands beside the dog.", "absent object"],
    ["Is there a car in the picture?", "Yes, there is.", "absent object"],
    ["Is there a dog in the picture?", "No.", "denied object"],
    ["How many cars are in the image?", "2", "absent object"],
    ["How many chairs are there?", "3", "count"],
    ["What is there?", "Three chairs stand by the wall.", "count"],
    ["Where is the dog?", "The dog is to the right of the cat.", "left and right"],
    ["Is the dog to the right of the cat?", "Yes.", "left and right"],
    ["Is the dog to the left of the cat?", "No, it is behind it.", "left and right"],
    ["Where is the cat?", "The cat is on the left side of the picture.", "left and right"],
  ])("%s %s: %s", (question, answer, reason) => {
    expect(ground(question, answer)).toBe(reason);
  });

  test.each([
    ["What stands there?", "A sofa stands behind the dog."],
    ["Is there a car in the picture?", "No, there is none."],
    ["What could help?", "An umbrella would help in the rain. There is no car."],
    ["How many chairs are there?", "2"],
    ["How many chairs are on the left?", "1"],
    ["Where is the dog?", "The dog is to the left of the cat."],
    ["Is the dog to the right of the cat?", "No."],
    ["Which colour has the chair?", "The orange chair is bright."],
    ["Where is the cat?", "The cat is on the right side of the picture, not on the left."],
    ["Is there a dog on the sofa?", "No."],
    ["Where is it?", "One chair is to the left of the cat."],
  ])("%s %s passes", (question, answer) => {
    expect(ground(question, answer)).toBeUndefined();
  });

  test("questions after what is not there name something that is not", () => {
    expect(ground("What colour is the car?", "There is no car.", "denial")).toBeUndefined();
    expect(ground("What colour is the dog?", "There is no dog.", "denial")).toBe("not absent");
  });

  test("questions after regions name one known box", () => {
    const named = (text: string): string | undefined => checkRegions([pair(`What is at ${text}?`, "A dog.")], picture);
    expect(named("[0.050, 0.400, 0.300, 0.900]")).toBeUndefined();
    expect(named("[0.05,0.4,0.3,0.9]")).toBeUndefined();
    expect(named("[0.150, 0.400, 0.300, 0.900]")).toBe("unknown region");
    expect(named("the left")).toBe("unknown region");
    expect(checkRegions([pair("?", "x")], { ...picture, objects: [] })).toBe("unknown region");
  });

  test("what is absent is tempting, never present or doubtful, and the same each time", () => {
    expect([...sheet.absent()].sort()).toEqual(["car", "orange", "person", "umbrella"]);
    expect(sheets(picture).absent()).toEqual(sheet.absent());
    expect(sheets({ ...picture, partial: true }).absent()).toEqual([]);
  });
});

describe("forms", () => {
  test.each([
    ["short", "Red", undefined],
    ["short", "It is a very red thing indeed", "answer form"],
    ["yes-no", "Yes, it is.", undefined],
    ["yes-no", "Perhaps.", "answer form"],
    ["number", "three", undefined],
    ["number", "Three dogs", "answer form"],
    ["denial", "There is no car here.", undefined],
    ["denial", "It is red.", "answer form"],
  ] as const)("%s: %s: %s", (form, answer, reason) => {
    expect(checkForm([pair("What?", answer)], form)).toBe(reason);
  });

  test("short answers are not in their question, yes and no are balanced", () => {
    expect(checkForm([pair("What colour is the red car?", "Red")], "short")).toBe("answer in question");
    expect(checkForm([pair("Is it red or blue?", "Red")], "short")).toBeUndefined();
    const yes = pair("Is it?", "Yes");
    expect(checkForm([yes, pair("Was it?", "Yes.")], "yes-no")).toBe("yes/no balance");
    expect(checkForm([yes, pair("Was it?", "No.")], "yes-no")).toBeUndefined();
  });
});

describe("words", () => {
  test("another language is noticed, English is not", async () => {
    expect(isForeign("Ein Hund liegt auf dem Sofa und schläft tief und fest.")).toBe(true);
    expect(isForeign("Un chien gris dort sur le canapé pendant que son maître travaille.")).toBe(true);
    expect(isForeign("一只狗在沙发上睡觉。")).toBe(true);
    expect(isForeign("Red")).toBe(false);
    expect(isForeign("A café crème beside José's piñata on a crêpe stand.")).toBe(false);
    for (const { examples } of await readBuiltInKinds(builtInKinds))
      for (const { reply } of examples) expect(isForeign(reply)).toBe(false);
  });

  test("texts that break off and questions asked twice are dropped", () => {
    const long = "The dog lies on the floor of the kitchen and looks at the";
    expect(checkText([pair("What?", long)])).toBe("truncated");
    expect(checkText([pair("What?", `${long} cat.`)])).toBeUndefined();
    expect(checkText([pair("What?", "A dog."), pair("what ?", "A cat.")])).toBe("repeated question");
    const box = [pair("What is at [0.1, 0.2, 0.3, 0.4]?", "A dog.")];
    expect([checkText(box), checkText(box, { boxesInQuestions: true })]).toEqual(["coordinates", undefined]);
    expect(checkText([pair("What?", "At [0.1, 0.2, 0.3, 0.4].")], { boxesInQuestions: true })).toBe("coordinates");
  });

  test("near-duplicates are met, others are not", () => {
    const repeats = new Repeats();
    const words = (seed: number, count = 60): string =>
      Array.from({ length: count }, (_, i) => `w${(i * seed * 7919 + seed * 31) % 997}`).join(" ");
    const texts = Array.from({ length: 900 }, (_, i) => words(i + 1));
    expect(texts.filter((text) => repeats.seen(text))).toHaveLength(0);
    // one word of sixty is another
    const near = texts.slice(0, 500).map((text) => text.replace(/ w\d+$/, " other"));
    expect(near.filter((text) => repeats.seen(text)).length).toBeGreaterThan(470);
    expect([repeats.seen("Yes."), repeats.seen("Yes.")]).toEqual([false, false]);
  });
});

test("the examples of every kind pass all checks on what they were told", async () => {
  for (const kind of await readBuiltInKinds(builtInKinds)) {
    for (const { context, reply } of kind.examples) {
      const told = toPicture(context);
      const kindSheets = await openSheets([told, ...toOthers(context)], 0);
      const verdict = judge({ text: reply, finishReason: "stop" }, kind, "What is there?", {
        given: { picture: told, sheet: kindSheets(told) },
      });
      expect(verdict, `${kind.name}: ${context}`).toHaveProperty("pairs");
      expect(parseReply(reply, kind.reply, "What is there?")).toEqual((verdict as { pairs: unknown }).pairs);
    }
  }
});

/** Reads an example's context back into a picture. */
function toPicture(context: string): CaptionedPicture {
  const [captions = "", ...blocks] = context.split("\n\n");
  const lines = blocks.join("\n").split("\n");
  const objects = lines.flatMap((line) => {
    const [, name, box] = /^(.+): (\[.*\])$/.exec(line) ?? [];
    const [, counted, n] = /^(.+): (\d+)$/.exec(line) ?? [];
    if (name !== undefined) return [{ name, box: JSON.parse(box as string) as [number, number, number, number] }];
    if (counted === undefined) return [];
    return Array.from({ length: Number(n) }, (_, i) => ({
      name: counted,
      box: [0.1 * i, 0.1, 0.1 * i + 0.09, 0.9] as [number, number, number, number],
    }));
  });
  return { id: "x", image: "x.jpg", captions: captions.split("\n"), objects };
}

/** Pictures of the things that an example calls absent, so that their names are known. */
function toOthers(context: string): CaptionedPicture[] {
  const names = /Not in the picture: (.*)$/m.exec(context)?.[1]?.split(", ") ?? [];
  return names.map((name) => ({
    id: name,
    image: `${name}.jpg`,
    captions: ["x y z"],
    objects: [{ name, box: [0, 0, 1, 1] }],
  }));
}
