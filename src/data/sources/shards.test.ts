// Sources whose pictures lie in shards, or that say more than captions; each over real files.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { packTar } from "modern-tar";
import { afterAll, describe, expect, it } from "vitest";
import type { CaptionedPicture } from "../sample.ts";
import { Gathered } from "./gathered.ts";
import { NameIndex } from "./name-index.ts";
import { openSource } from "./open.ts";
import type { SourceOptions } from "./source.ts";

const root = mkdtempSync(join(tmpdir(), "shards-"));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;

function folder(files: Readonly<Record<string, unknown>>): string {
  const path = join(root, String(made++));
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    const bytes = typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content);
    writeFileSync(join(path, name), bytes);
  }
  return path;
}

async function read(path: string, options?: SourceOptions): Promise<CaptionedPicture[]> {
  const source = await openSource(path, options);
  const [first, second]: [CaptionedPicture[], CaptionedPicture[]] = [[], []];
  for await (const picture of source.pictures()) first.push(picture);
  for await (const picture of source.pictures()) second.push(picture);
  expect(second).toEqual(first);
  expect(first).toHaveLength(source.count);
  return first;
}

const jpeg = (mark: number): Uint8Array => Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, mark, 1, 2, 3]);
const tar = (files: Readonly<Record<string, string | Uint8Array>>): Promise<Uint8Array> =>
  packTar(
    Object.entries(files).map(([name, body]) => ({
      header: { name, size: Buffer.byteLength(body), type: "file" as const },
      body,
    })),
  );

describe("tar shards", () => {
  const shard = {
    "a/1.jpg": jpeg(1),
    "a/1.txt": "A cat.\nA grey cat.",
    "a/2.json": '{"caption": "A dog", "objects": [{"name": "dog", "box": [0, 0, 0.5, 1]}]}',
    "a/2.jpg": jpeg(2),
    "a/3.jpg": jpeg(3),
    "a/3.cls": "7",
  };
  const said = [
    { id: "1", image: "a/1.jpg", captions: ["A cat.", "A grey cat."] },
    { id: "2", image: "a/2.jpg", captions: ["A dog"], objects: [{ name: "dog", box: [0, 0, 0.5, 1] }] },
    { id: "3", image: "a/3.jpg", captions: [] },
  ];

  it("are read in order, and their pictures unpacked once", async () => {
    const path = folder({ "x-0.tar": await tar(shard), "x-1.tar": await tar({ "b.png": jpeg(4), "b.txt": "B" }) });
    const source = await openSource(path);
    expect(await read(path)).toEqual([...said, { id: "b", image: "b.png", captions: ["B"] }]);
    expect([source.kind, source.imagesRoot, readdirSync(root).includes(`${made - 1}-pictures`)]).toEqual([
      "webdataset",
      `${path}-pictures`,
      false,
    ]);
    expect(source.notes).toEqual(["not read: 1 members .cls", "without a caption: 1 pictures"]);
    expect(await source.unpack?.()).toBe(4);
    expect(readFileSync(join(source.imagesRoot, "a/2.jpg"))).toEqual(Buffer.from(jpeg(2)));
    writeFileSync(join(source.imagesRoot, "a/2.jpg"), "torn");
    expect(await source.unpack?.()).toBe(1);
    expect(readdirSync(source.imagesRoot)).toEqual(["a", "b.png"]);
  });

  it("may be compressed, and one file", async () => {
    const path = join(folder({ "x.tar.gz": gzipSync(await tar(shard)) }), "x.tar.gz");
    expect(await read(path)).toEqual(said);
  });

  it.each([
    ["cut off", async () => (await tar(shard)).subarray(0, 1000), "TAR_INVALID"],
    ["of other bytes", async () => new Uint8Array(2048).fill(7), "TAR_INVALID"],
    ["with a path out of it", () => tar({ "../1.jpg": jpeg(1) }), "PICTURE_PATH"],
    ["with two pictures of one name", () => tar({ "1.jpg": jpeg(1), "1.png": jpeg(1) }), "WEBDATASET_SAMPLE"],
    [
      "with a sample torn apart",
      () => tar({ "1.jpg": jpeg(1), "2.jpg": jpeg(1), "1.txt": "x" }),
      "CAPTIONS_UNKNOWN_PICTURES",
    ],
    ["with an empty picture", () => tar({ "1.jpg": "" }), "WEBDATASET_SAMPLE"],
    ["without a picture", () => tar({ "1.cls": "x" }), "CAPTIONS_EMPTY"],
    ["with broken JSON", () => tar({ "1.jpg": jpeg(1), "1.json": "{" }), "JSON_INVALID"],
    ["with text of other bytes", () => tar({ "1.jpg": jpeg(1), "1.txt": Uint8Array.of(0xff) }), "TEXT_INVALID"],
  ])("%s are refused", async (_name, make, code) => {
    const path = folder({ "x.tar": (await make()) as Uint8Array });
    await expect(openSource(path)).rejects.toMatchObject({ code, exitCode: 2 });
  });
});

const struct = (name: string, children: number): object => ({
  name,
  repetition_type: "OPTIONAL",
  num_children: children,
});
const text = { type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" };

/** A file as Hugging Face's datasets write it. */
function table(images: readonly unknown[], captions: readonly unknown[], name = "caption"): Uint8Array {
  const isList = Array.isArray(captions[0]);
  const list = [
    { ...struct(name, 1), converted_type: "LIST" },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    { name: "element", ...text },
  ];
  const schema = [
    { name: "root", num_children: 2 },
    struct("image", 2),
    { name: "bytes", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
    { name: "path", ...text },
    ...(isList ? list : [{ name, ...text }]),
  ];
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema: schema as never });
  const columnData = [
    { name: "image", data: [...images] },
    { name, data: [...captions] },
  ];
  void parquet.write({ columnData, rowGroupSize: 2 });
  void parquet.finish();
  return new Uint8Array(writer.getBuffer());
}

describe("Parquet", () => {
  it("gives pictures by path, and rows of one path are one picture", async () => {
    const images = [
      { bytes: jpeg(1), path: "cat.jpg" },
      { bytes: jpeg(2), path: null },
      { bytes: jpeg(1), path: "cat.jpg" },
    ];
    const path = folder({ "data/train-00000-of-00001.parquet": table(images, ["A cat.", "A dog.", "A grey cat."]) });
    expect(await read(path)).toEqual([
      { id: "cat", image: "cat.jpg", captions: ["A cat.", "A grey cat."] },
      { id: "1", image: "train-00000-of-00001/1.jpg", captions: ["A dog."] },
    ]);
    const source = await openSource(path, { images: join(path, "out") });
    expect(await source.unpack?.()).toBe(2);
    expect(readFileSync(join(path, "out", "cat.jpg"))).toEqual(Buffer.from(jpeg(1)));
  });

  it("reads lists of captions", async () => {
    const path = folder({ "x.parquet": table([{ bytes: jpeg(1), path: "a.jpg" }], [["One.", "Two."]], "captions") });
    expect((await read(join(path, "x.parquet")))[0]?.captions).toEqual(["One.", "Two."]);
  });

  const one = { bytes: jpeg(1), path: "a.jpg" };
  it.each([
    ["no captions", { "x.parquet": table([one], ["x"], "words") }, "PARQUET_COLUMNS"],
    ["no bytes", { "x.parquet": table([{ bytes: null, path: "a.jpg" }], ["x"]) }, "PARQUET_PICTURE"],
    [
      "bytes of no picture",
      { "x.parquet": table([{ ...one, bytes: Uint8Array.of(1, 2, 3) }], ["x"]) },
      "PARQUET_PICTURE",
    ],
    ["a path out of it", { "x.parquet": table([{ ...one, path: "../a.jpg" }], ["x"]) }, "PICTURE_PATH"],
    [
      "two pictures of one path",
      { "x.parquet": table([one, { ...one, bytes: Uint8Array.from([...jpeg(1), 1]) }], ["x", "y"]) },
      "PARQUET_PICTURE",
    ],
    ["other bytes", { "x.parquet": "PAR1 and so on, but no table at all PAR1" }, "PARQUET_INVALID"],
    ["an end cut off", { "x.parquet": table([one], ["x"]).subarray(0, 80) }, "PARQUET_INVALID"],
    ["two splits", { "train-00000-of-00001.parquet": "", "test-00000-of-00001.parquet": "" }, "SOURCE_AMBIGUOUS"],
  ])("with %s is refused", async (_name, files, code) => {
    await expect(openSource(folder(files))).rejects.toMatchObject({ code, exitCode: 2 });
  });
});

describe("texts beside pictures", () => {
  it("are captions, a line each, in folders too", async () => {
    const files = { "b.jpg": "", "b.txt": "\ufeffB.\r\n\r\nMore.", "a.jpg": "", "sub/c.png": "", "sub/c.txt": "C." };
    const path = folder(files);
    const source = await openSource(path);
    expect([source.kind, source.notes]).toEqual(["sidecar", ["left out: 1 pictures without a text beside them"]]);
    expect(await read(path)).toEqual([
      { id: "b", image: "b.jpg", captions: ["B.", "More."] },
      { id: "c", image: "sub/c.png", captions: ["C."] },
    ]);
  });

  it("without their picture are refused, or left out", async () => {
    const path = folder({ "b.jpg": "", "b.txt": "B.", "gone.txt": "?", "readme.txt": "hello" });
    await expect(openSource(path)).rejects.toMatchObject({ code: "CAPTIONS_UNKNOWN_PICTURES" });
    expect(await read(path, { missing: "skip" })).toHaveLength(1);
  });
});

const size = { width: 200, height: 100 };

describe("boxes with phrases", () => {
  it("are read from Visual Genome, as partial", async () => {
    const path = folder({
      "image_data.json": [{ image_id: 2, url: "https://x/VG_100K/2.jpg", ...size }],
      "objects.json": [{ image_id: 2, objects: [{ names: ["tree"], x: 20, y: 10, w: 100, h: 50, object_id: 1 }] }],
      "region_descriptions.json": [
        { id: 2, regions: [{ phrase: "a tall tree", x: 0, y: 0, width: 100, height: 100 }] },
      ],
      "VG_100K/2.jpg": "",
    });
    expect(await read(path)).toEqual([
      {
        id: "2",
        image: "VG_100K/2.jpg",
        captions: [],
        objects: [{ name: "tree", box: [0.1, 0.1, 0.6, 0.6] }],
        regions: [{ name: "a tall tree", box: [0, 0, 0.5, 1] }],
        partial: true,
      },
    ]);
    expect((await openSource(join(path, "objects.json"))).kind).toBe("visual-genome");
  });

  it("are read from Flickr30k Entities", async () => {
    const xml = `<annotation><size><width>200</width><height>100</height></size>
      <object><name>1</name><name>2</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>120</xmax><ymax>60</ymax></bndbox></object>
      <object><name>3</name><nobndbox>1</nobndbox></object></annotation>`;
    const path = folder({
      "Sentences/7.txt": "[/EN#1/people Two men] look at [/EN#3/scene the sky] .\n[/EN#2/people/clothing Men] .\n",
      "Annotations/7.xml": xml,
      "flickr30k-images/7.jpg": "",
    });
    const box = [0.1, 0.1, 0.6, 0.6];
    expect(await read(path)).toEqual([
      {
        id: "7",
        image: "7.jpg",
        captions: ["Two men look at the sky .", "Men ."],
        regions: [
          { name: "Two men", box },
          { name: "Men", box },
        ],
        partial: true,
      },
    ]);
  });

  it.each([
    [
      "no sizes",
      {
        "image_data.json": [{ image_id: 2 }],
        "objects.json": [{ image_id: 2, objects: [{ names: ["a"], x: 1, y: 1, w: 1, h: 1 }] }],
      },
      "BOX",
    ],
    [
      "an unknown picture",
      { "image_data.json": [], "objects.json": [{ image_id: 2, objects: [] }] },
      "VISUAL_GENOME_SHAPE",
    ],
    [
      "no numbers",
      {
        "image_data.json": [{ image_id: 2, ...size }],
        "objects.json": [{ image_id: 2, objects: [{ names: ["a"], x: "1" }] }],
      },
      "BOX",
    ],
    [
      "phrases cut off",
      { "Sentences/7.txt": "[/EN#1/people Two", "Annotations/7.xml": "<annotation>" },
      "FLICKR30K_SHAPE",
    ],
    ["no boxes' file", { "Sentences/7.txt": "x", "Annotations/x.xml": "" }, "FILE_MISSING"],
    ["another file for boxes", { "Sentences/7.txt": "x", "Annotations/7.xml": "{}" }, "FLICKR30K_SHAPE"],
  ])("with %s are refused", async (_name, files, code) => {
    await expect(openSource(folder(files))).rejects.toMatchObject({ code, exitCode: 2 });
  });

  it("of COCO: key points and panoptic segments are ignored with a word", async () => {
    const images = [{ id: 1, file_name: "a.jpg", ...size }];
    const annotations = [
      { image_id: 1, category_id: 1, bbox: [1, 1, 9, 9], keypoints: [1, 2, 2] },
      { image_id: 1, segments_info: [] },
    ];
    const path = folder({
      "instances_x.json": { images, annotations, categories: [{ id: 1, name: "person" }] },
      "panoptic_x.json": {},
      "a.jpg": "",
    });
    const { notes } = await openSource(path);
    expect(notes.join()).toMatch(/key points of 1 .*segments of 1 .*not read: panoptic_x.json/);
  });
});

it("a source larger than its buffer gives what was put in, in order, within bounded memory", () => {
  const gathered = new Gathered();
  const count = 9000;
  const words = "a caption that is long enough to fill some space ".repeat(12);
  for (let i = 0; i < count; i++) gathered.add(`f/${i}.jpg`, { captions: [`${words} ${i}`] });
  for (let i = 0; i < count; i += 7) gathered.add(`f/${i}.jpg`, { captions: [` second ${i} `, ""], objects: [] });
  let i = 0;
  for (const { id, image, captions, objects } of gathered.pictures()) {
    expect(id === String(i) && image === `f/${i}.jpg` && captions[0] === `${words} ${i}`).toBe(true);
    if (i % 7 === 0) expect([captions[1], objects]).toEqual([`second ${i}`, []]);
    i++;
  }
  expect(i).toBe(count);
});

it("an index of names gives back what was set", () => {
  const index = new NameIndex();
  for (let i = 0; i < 3000; i++) index.set(`name ${i}`, i);
  for (let i = 0; i < 3000; i++) expect(index.get(`name ${i}`)).toBe(i);
  expect([index.get("other"), index.size]).toEqual([undefined, 3000]);
});
