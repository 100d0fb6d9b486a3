// LLaVA's JSON, Parquet and COCO into each other and back: nothing is lost that both sides can hold, the rest is told.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "./run.fixture.ts";

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
const sizes = { "a.png": [40, 30], "b.png": [33, 47], "c.png": [64, 16] } as const;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "doors-"));
  mkdirSync(at("photos"));
  for (const [name, [width, height]] of Object.entries(sizes)) {
    await sharp({ create: { width, height, channels: 3, background: "green" } }).toFile(at("photos", name));
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const write = (name: string, value: unknown): void => writeFileSync(at(name), JSON.stringify(value));
// oxlint-disable-next-line typescript/no-explicit-any -- what tests wrote themselves
const read = (name: string): any => JSON.parse(readFileSync(at(name), "utf8"));
/** Runs and returns what stderr was told. */
async function told(...args: string[]): Promise<string> {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  stderr.mockClear();
  await run(...args);
  return stderr.mock.calls.map(([text]) => String(text)).join("");
}

const images = Object.entries(sizes).map(([file_name, [width, height]], i) => ({
  id: 7 * i + 3,
  file_name,
  width,
  height,
}));
const captions = [
  { id: 90, image_id: 3, caption: "two dogs ,asleep" },
  { id: 11, image_id: 10, caption: "A cat." },
  { id: 12, image_id: 3, caption: "Dogs <image> on a sofa" },
];
const boxes = [
  { id: 1, image_id: 3, category_id: 18, bbox: [1.37, 2.5, 20.25, 10.01], area: 202.7025, iscrowd: 0 },
  { id: 2, image_id: 3, category_id: 18, bbox: [0, 0, 40, 30], area: 1200, iscrowd: 0 },
  { id: 3, image_id: 10, category_id: 17, bbox: [5.99, 7.77, 11.11, 13.13], area: 145.8743, iscrowd: 0 },
];
const categories = [
  { id: 17, name: "cat" },
  { id: 18, name: "dog" },
  { id: 63, name: "couch" },
];
const writeSource = (): void => {
  write("captions_x.json", { images: images.slice(0, 2), annotations: captions });
  write("instances_x.json", { images: images.slice(0, 2), annotations: boxes, categories });
};

interface Coco {
  readonly images: { id: number; file_name: string; width: number; height: number }[];
  readonly annotations: { image_id: number; caption?: string; category_id?: number; bbox?: number[]; area?: number }[];
  readonly categories?: { id: number; name: string }[];
}
/** What a COCO file says, without its numbers for things. */
function said({ images, annotations, categories = [] }: Coco): unknown {
  const [file, category] = [
    new Map(images.map((each) => [each.id, each])),
    new Map(categories.map(({ id, name }) => [id, name])),
  ];
  const about = annotations.map(({ image_id, caption, category_id, bbox, area }) =>
    JSON.stringify([file.get(image_id)!.file_name, caption, category.get(category_id!), bbox, area]),
  );
  return { images: images.map(({ id: _, ...rest }) => rest), about: about.toSorted() };
}

describe("COCO", () => {
  it.each([["json"], ["parquet"]])(
    "comes back from LLaVA's samples as %s: captions and boxes to the pixel",
    async (ending) => {
      writeSource();
      await run("data", "convert", at("captions_x.json"), "--out", at(`s.${ending}`));
      mkdirSync(at("back"));
      const back = await told(
        "data",
        "convert",
        at(`s.${ending}`),
        ...(ending === "json" ? ["--images", at("photos")] : []),
        "--to",
        "coco",
        "--out",
        at("back", "captions_y.json"),
      );
      expect(back).toContain("not kept: ids of samples, and teacher");
      expect(said(read("back/captions_y.json") as Coco)).toEqual(said(read("captions_x.json") as Coco));
      expect(said(read("back/instances_y.json") as Coco)).toEqual(said(read("instances_x.json") as Coco));
    },
  );

  it("is read word for word, with boxes beside the first caption of each picture", async () => {
    writeSource();
    await run("data", "convert", at("captions_x.json"), "--out", at("s.json"));
    const samples = read("s.json") as { conversations: { value: string }[]; objects?: unknown[] }[];
    expect(samples.map(({ conversations, objects }) => [conversations[1]!.value, objects?.length])).toEqual([
      ["two dogs ,asleep", 2],
      ["Dogs <image> on a sofa", undefined],
      ["A cat.", 1],
    ]);
  });

  it("tells of pictures that no sample can hold", async () => {
    const twice = { ...captions[1], id: 13, caption: " A cat." };
    write("captions_x.json", { images, annotations: [...captions, twice] });
    const more = [
      { ...boxes[0], id: 4, image_id: 17, bbox: [1, 1, 2, 2], segmentation: [[1, 1, 3, 1, 3, 3]] },
      { ...boxes[0], id: 5, image_id: 3, bbox: [-3, 0, 10, 10], segmentation: [] },
    ];
    write("instances_x.json", { images, annotations: [...boxes, ...more], categories });
    const note = await told("data", "convert", at("captions_x.json"), "--out", at("s.json"));
    expect(note).toContain("left out: 1 pictures without a caption, 1 of them with boxes");
    expect(note).toMatch(/left out: 1 captions of .*captions_x.json that repeat another of their picture/);
    expect(note).toMatch(/not read: outlines of 1 boxes of .*instances_x.json/);
    expect(note).toMatch(/cut at the picture's edges: 1 boxes of .*instances_x.json/);
  });

  it("says what it has no place for, and writes boxes only of pictures whose boxes are known", async () => {
    const turn = (human: string, gpt: string) => [
      { from: "human", value: human },
      { from: "gpt", value: gpt },
    ];
    write("s.json", [
      { id: 1, image: "a.png", conversations: turn("<image>\nWhat is this a picture of?", "A."), kind: "caption" },
      {
        id: 2,
        image: "b.png",
        conversations: turn("<image>\nHow many?", "Two."),
        objects: [{ name: "cat", box: [0.1, 0.2, 0.5, 1] }],
      },
      { id: 3, image: "c.png", conversations: turn("<image>\nWho?", "Nobody.") },
      { id: 4, image: ["a.png", "b.png"], conversations: turn("<image><image>", "B.") },
      { id: 5, conversations: turn("Hi", "Hello") },
    ]);
    const note = await told(
      "data",
      "convert",
      at("s.json"),
      "--images",
      at("photos"),
      "--to",
      "coco",
      "--out",
      at("captions_s.json"),
    );
    expect(note).toContain("left out: 2 samples with no or several pictures");
    expect(note).toContain("left out: 2 conversations that are no caption");
    expect(note).toContain("not kept: ids of samples, and kind");
    const [texts, things] = [read("captions_s.json") as Coco, read("instances_s.json") as Coco];
    expect(texts.images.map(({ file_name }) => file_name)).toEqual(["a.png", "b.png"]);
    expect(texts.annotations).toEqual([{ id: 1, image_id: 1, caption: "A." }]);
    expect(things.images.map(({ file_name }) => file_name)).toEqual(["b.png"]);
    expect(things.annotations[0]!.bbox).toEqual([3.3, 9.4, 13.2, 37.6]);
  });

  it("needs captions, the pictures, and a name of COCO's kind; never writes over what it reads", async () => {
    const to = (out: string, ...more: string[]) =>
      run("data", "convert", at("s.json"), "--to", "coco", "--out", at(out), ...more);
    write("s.json", [
      {
        id: 1,
        image: "a.png",
        conversations: [
          { from: "human", value: "<image>\nHow?" },
          { from: "gpt", value: "So." },
        ],
      },
    ]);
    await expect(to("x.json")).rejects.toMatchObject({ code: "COCO_NAME" });
    await expect(to("captions.json")).rejects.toMatchObject({ code: "COCO_IMAGES" });
    await expect(to("captions.json", "--images", at("photos"))).rejects.toMatchObject({
      code: "COCO_EMPTY",
      exitCode: 2,
    });
    writeSource();
    const over = run("data", "convert", at("instances_x.json"), "--to", "coco", "--out", at("captions_x.json"));
    await expect(over).rejects.toMatchObject({ code: "OUT_IS_SOURCE" });
  });

  it("is split by picture, boxes too", async () => {
    writeSource();
    const split = ["--split", "test=0.5", "--json"];
    const out = JSON.parse(
      await run("data", "convert", at("captions_x.json"), "--to", "coco", "--out", at("captions_y.json"), ...split),
    ) as { splits: { out: string; samples: number }[] };
    expect(out.splits.reduce((sum, { samples }) => sum + samples, 0)).toBe(3);
  });
});

describe("Parquet", () => {
  it("keeps every line break around pictures, and other keys", async () => {
    const values = [
      "<image>\nWhat?",
      "<image>What?",
      "<image>\n",
      "What?\n<image>\n\n",
      "<image> What?",
      "\n<image>\nWhat?",
    ];
    const samples = values.map((value, i) => ({
      id: String(i),
      image: "a.png",
      conversations: [
        { from: "human", value },
        { from: "gpt", value: " <image>\nYes. " },
      ],
      n: i,
      nested: { deep: [null, 1.5, "x"] },
    }));
    write("s.json", samples);
    await run("data", "convert", at("s.json"), "--images", at("photos"), "--out", at("s.parquet"));
    await run("data", "convert", at("s.parquet"), "--out", at("back.json"));
    expect(read("back.json")).toEqual(samples);
  });
});
