import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { lab } from "../../../test/lab.ts";
import type { CaptionedPicture } from "../sample.ts";
import { openSource } from "./open.ts";
import type { Source, SourceOptions } from "./source.ts";

const root = mkdtempSync(join(tmpdir(), "sources-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;

/** A fresh folder with files; what is no text is written as JSON. */
function folder(files: Readonly<Record<string, unknown>>): string {
  const path = join(root, String(made++));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return path;
}

async function pictures(source: Source): Promise<CaptionedPicture[]> {
  const list: CaptionedPicture[] = [];
  for await (const picture of source.pictures()) list.push(picture);
  expect(list).toHaveLength(source.count);
  return list;
}
const read = async (path: string, options?: SourceOptions): Promise<CaptionedPicture[]> =>
  pictures(await openSource(path, options));

const cat = { id: "cat", image: "cat.jpg", captions: ["A cat.", "A grey cat"] };
const dog = { id: "dog", image: "sub/dog.png", captions: ['A dog, "Rex".'] };
const photos = { "cat.jpg": "", "sub/dog.png": "", "bird.jpg": "" };

describe("a folder with captions", () => {
  it.each([
    [
      "captions.jsonl",
      '{"file_name":"cat.jpg","caption":"A cat."}\n{"image":"sub/dog.png","text":"A dog, \\"Rex\\"."}\n{"filename":"cat.jpg","captions":[" A grey cat ","A cat."]}\n',
    ],
    [
      "captions.json",
      [
        { file_name: "cat.jpg", captions: ["A cat.", "A grey cat"] },
        { image: "./sub/dog.png", text: 'A dog, "Rex".' },
      ],
    ],
    ["metadata.csv", 'file_name,caption\ncat.jpg,A cat.\nsub/dog.png,"A dog, ""Rex""."\n\ncat.jpg,A grey cat\n'],
    ["captions.csv", '\ufefftext;image\r\nA cat.;cat.jpg\r\n"A dog, ""Rex"".";sub\\dog.png\r\nA grey cat;cat.jpg\r\n'],
    ["captions.tsv", 'image\tcaption\ncat.jpg\tA cat.\nsub/dog.png\t"A dog, ""Rex""."\ncat.jpg\tA grey cat\n'],
  ])("reads %s and joins rows of one picture", async (name, content) => {
    const path = folder({ ...photos, [name]: content });
    const source = await openSource(path);
    expect([source.kind, source.imagesRoot]).toEqual(["folder", path]);
    expect(await pictures(source)).toEqual([cat, dog]);
    expect(await read(join(path, name))).toEqual([cat, dog]);
  });

  it("finds pictures in a folder beside, or in the one that is named", async () => {
    const rows = [{ image: "a.jpg", caption: "A." }];
    const beside = await openSource(folder({ "captions.json": rows, "photos/a.jpg": "" }));
    expect(beside.imagesRoot).toMatch(/photos$/);
    const named = folder({ "captions.json": rows, "a.jpg": "", "other/a.jpg": "" });
    expect((await openSource(named, { images: join(named, "other") })).imagesRoot).toBe(join(named, "other"));
  });

  it("reads objects, from JSON and from a table's cell", async () => {
    const objects = [{ name: "cat", box: [0.1, 0.2, 0.5, 1] }];
    const rows = `image,caption,objects\na.jpg,A.,"${JSON.stringify(objects).replaceAll('"', '""')}"\nb.jpg,B.,\nc.jpg,C.,[]\n`;
    const list = await read(folder({ "captions.csv": rows, "a.jpg": "", "b.jpg": "", "c.jpg": "" }));
    expect(list.map((picture) => picture.objects)).toEqual([objects, undefined, []]);
  });

  it("tells pictures of one name apart", async () => {
    const rows = ["a/x.jpg", "b/x.jpg", "y.jpg"].map((image) => ({ image, caption: image }));
    const list = await read(folder({ "captions.json": rows, "a/x.jpg": "", "b/x.jpg": "", "y.jpg": "" }));
    expect(list.map(({ id }) => id)).toEqual(["a/x.jpg", "b/x.jpg", "y"]);
  });

  it("counts captions for unknown pictures, names the first, and leaves them out on demand", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => `p${i}.jpg,caption ${i}\n`).join("");
    const path = folder({ "captions.csv": `image,caption\n${rows}`, "p3.jpg": "", "p5.jpg": "" });
    const error = openSource(path);
    await expect(error).rejects.toMatchObject({ code: "CAPTIONS_UNKNOWN_PICTURES", exitCode: 2 });
    await expect(error).rejects.toThrow(/10 of 12 pictures .*p0\.jpg, p1\.jpg, .* and 5 more/);
    const source = await openSource(path, { missing: "skip" });
    expect((await pictures(source)).map(({ id }) => id)).toEqual(["p3", "p5"]);
    expect(source.notes[0]).toMatch(/left out: 10 of 12/);
  });

  it.each([
    ["captions.csv", "image,caption\na.jpg,fine\na.jpg,one,too many\n", "CSV_INVALID", ":3"],
    ["captions.csv", 'image,caption\na.jpg,"never closed\n', "CSV_INVALID", ":2"],
    ["captions.csv", 'image,caption\na.jpg,"two\nlines"\n\n../b.jpg,x\n', "PICTURE_PATH", ":5"],
    ["captions.csv", "picture,caption\na.jpg,x\n", "CAPTION_ROW", ":2"],
    ["captions.csv", "image,words\na.jpg,x\n", "CAPTION_ROW", ":2"],
    ["captions.csv", "image,caption\n/etc/a.jpg,x\n", "PICTURE_PATH", ":2"],
    ["captions.csv", "image,caption\n", "CAPTIONS_EMPTY", ""],
    ["captions.csv", "", "CAPTIONS_EMPTY", ""],
    ["captions.csv", 'image,caption,objects\na.jpg,x,"[{""name"": "\n', "JSON_INVALID", ":2, objects:1:11"],
    ["captions.jsonl", '{"image":"a.jpg","caption":"x"}\n{"image":"a.jpg","caption":3}', "CAPTION_ROW", ":2"],
    ["captions.jsonl", '{"image":"a.jpg","caption":"x"}\n{"image":"a.jpg","cap', "JSON_INVALID", ":2:22"],
    ["captions.json", [{ image: "a.jpg", caption: "x", objects: [{ name: "a", box: [0, 0, 30, 40] }] }], "BOX", ":1"],
    ["captions.json", [{ image: "a.jpg", caption: "x", objects: [{ name: "", box: [0, 0, 1, 1] }] }], "BOX", ":1"],
    ["captions.json", [{ image: "a.jpg", caption: "x", objects: {} }], "BOX", ":1"],
  ])("refuses %s with %j", async (name, content, code, place) => {
    const path = folder({ [name]: content, "a.jpg": "" });
    await expect(openSource(path)).rejects.toMatchObject({
      code,
      exitCode: 2,
      details: { where: join(path, name) + place },
    });
  });
});

const images = [
  { id: 7, file_name: "a.jpg", width: 200, height: 100 },
  { id: "8", file_name: "b.jpg", width: 10, height: 10 },
];
const captions = {
  info: {},
  images,
  annotations: [
    { image_id: 7, id: 1, caption: " A cat.\n" },
    { image_id: 7, id: 2, caption: "Cat" },
  ],
};
const box = (bbox: unknown, more: object = {}): object => ({ image_id: 7, category_id: 1, bbox, iscrowd: 0, ...more });
const instances = (...annotations: object[]): object => ({ images, annotations, categories: [{ id: 1, name: "cat" }] });
const boxes = instances(
  box([20, 10, 100, 50]),
  box([-10, 90, 30, 50]),
  box([5, 5, 0, 9]),
  box([0, 0, 9, 9], { iscrowd: 1 }),
);
const cats = [
  { name: "cat", box: [0.1, 0.1, 0.6, 0.6] },
  { name: "cat", box: [0, 0.9, 0.1, 1] },
];

describe("COCO", () => {
  it.each([
    ["captions.json", "instances.json", "photos"],
    ["annotations/captions_val2017.json", "annotations/instances_val2017.json", "val2017"],
  ])("joins %s and %s, boxes as fractions within the picture", async (first, second, beside) => {
    const path = folder({ [first]: captions, [second]: boxes, [`${beside}/a.jpg`]: "", [`${beside}/b.jpg`]: "" });
    const source = await openSource(path);
    expect([source.kind, source.imagesRoot]).toEqual(["coco", join(path, beside)]);
    expect(await pictures(source)).toEqual([
      { id: "a", image: "a.jpg", captions: ["A cat.", "Cat"], objects: cats },
      { id: "b", image: "b.jpg", captions: [], objects: [] },
    ]);
    expect(source.notes.join()).toMatch(/1 crowd .*1 boxes without area/);
    expect(await read(join(path, second))).toHaveLength(2);
  });

  it("knows nothing of absence without an instances file", async () => {
    const list = await read(folder({ "captions.json": captions, "a.jpg": "", "b.jpg": "" }));
    expect(list.map((picture) => "objects" in picture)).toEqual([false, false]);
  });

  it.each([
    ["an unknown picture", { images, annotations: [{ image_id: 9, caption: "x" }] }, "CAPTIONS_UNKNOWN_PICTURES"],
    ["an unknown category", instances(box([1, 1, 2, 2], { category_id: 4 })), "COCO_SHAPE"],
    ["a box of three numbers", instances(box([1, 1, 2])), "COCO_SHAPE"],
    ["a box of text", instances(box(["1", 1, 2, 2])), "COCO_SHAPE"],
    [
      "no sizes",
      {
        images: [{ id: 7, file_name: "a.jpg" }],
        annotations: [box([1, 1, 2, 2])],
        categories: [{ id: 1, name: "cat" }],
      },
      "COCO_SHAPE",
    ],
    ["an annotation of nothing", { images, annotations: [{ image_id: 7 }] }, "COCO_SHAPE"],
    ["entries that are no objects", { images: [3] }, "COCO_SHAPE"],
    ["a path out of the folder", { images: [{ id: 1, file_name: "../a.jpg" }] }, "PICTURE_PATH"],
    ["no images", { images: [], annotations: [] }, "CAPTIONS_EMPTY"],
    ["a missing picture", { images: [...images, { id: 9, file_name: "c.jpg" }], annotations: [] }, "PICTURES_MISSING"],
    ["no picture at all", { images: [{ id: 9, file_name: "c.jpg" }], annotations: [] }, "IMAGES_FOLDER"],
    ["a file cut off", JSON.stringify(captions).slice(0, -40), "JSON_INVALID"],
  ])("refuses %s", async (_name, content, code) => {
    const path = folder({ "captions.json": content, "a.jpg": "", "b.jpg": "" });
    await expect(openSource(path)).rejects.toMatchObject({ code, exitCode: 2 });
  });
});

describe("LLaVA's JSON", () => {
  const turn = (from: string, value: string): object => ({ from, value });
  const samples = [
    {
      id: "1",
      image: "cat.jpg",
      conversations: [
        turn("human", "<image>\nWhat?"),
        turn("gpt", "A cat."),
        turn("human", "And?"),
        turn("gpt", "A grey cat"),
      ],
    },
    { id: "2", conversations: [turn("human", "Hi"), turn("gpt", "Hello")] },
    { id: "3", image: "sub/dog.png", conversations: [turn("human", "<image>"), turn("gpt", 'A dog, "Rex".')] },
  ];

  it("takes answers for captions, in a folder under any name", async () => {
    const path = folder({ ...photos, "instruct.json": samples, "package.json": { name: "x" } });
    const source = await openSource(path);
    expect([source.kind, await pictures(source)]).toEqual(["llava", [cat, dog]]);
    expect(source.notes).toEqual(["left out: 1 samples with no or several pictures"]);
  });

  it("refuses missing pictures and files without any", async () => {
    await expect(openSource(folder({ "x.json": samples, "cat.jpg": "" }))).rejects.toMatchObject({
      code: "PICTURES_MISSING",
    });
    await expect(openSource(folder({ "x.json": [samples[1]] }))).rejects.toMatchObject({ code: "CAPTIONS_EMPTY" });
  });
});

describe("openSource", () => {
  it.each([
    ["a folder of pictures alone", { "a.jpg": "", "package.json": {} }, "SOURCE_UNKNOWN"],
    [
      "two data sets",
      { "a.json": [{ image: "a.jpg", caption: "" }], "b.jsonl": '{"image":"a.jpg","caption":""}' },
      "SOURCE_AMBIGUOUS",
    ],
    ["train and val", { "captions_train.json": captions, "captions_val.json": captions }, "SOURCE_AMBIGUOUS"],
    ["rows of another shape", { "captions.json": [["what", "a.jpg"]] }, "SOURCE_UNKNOWN"],
  ])("refuses %s", async (_name, files, code) => {
    await expect(openSource(folder(files))).rejects.toMatchObject({ code, exitCode: 2 });
  });

  it("refuses what is not there", async () => {
    await expect(openSource(join(root, "none"))).rejects.toMatchObject({ code: "SOURCE_MISSING" });
  });

  it.skipIf(!lab.present)("opens 2,306 photos of COCO in seconds (needs ../shared)", async () => {
    const started = performance.now();
    const source = await openSource(lab.path("data/coco"));
    const list = await pictures(source);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect([source.kind, list.length, list.flatMap((p) => p.captions).length]).toEqual(["coco", 2306, 11_529]);
    expect(list.reduce((sum, { objects }) => sum + objects!.length, 0)).toBe(22_006);
    expect(
      list
        .flatMap((p) => p.objects!)
        .every(({ box: [x1, y1, x2, y2] }) => 0 <= x1 && x1 < x2 && x2 <= 1 && 0 <= y1 && y1 < y2 && y2 <= 1),
    ).toBe(true);
  });
});
