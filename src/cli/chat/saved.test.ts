// A chat goes to a file and comes back; the file is a sample that training data can hold.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../../image/node.ts";
import { readChatPicture } from "../../generate/node.ts";
import { readSamples } from "../../data/samples.ts";
import { chatFile, loadChat, saveChat } from "./saved.ts";

let folder: string;
let elsewhere: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "saved-"));
  elsewhere = await mkdtemp(join(tmpdir(), "elsewhere-"));
  await mkdir(join(folder, "photos"));
  const png = (value: number) => encodePng({ width: 2, height: 2, data: new Uint8Array(12).fill(value) });
  await writeFile(join(folder, "photos", "a.png"), await png(1));
  await writeFile(join(elsewhere, "b.png"), await png(2));
});
afterAll(() => Promise.all([folder, elsewhere].map((each) => rm(each, { recursive: true }))));

async function talked() {
  const [a, b] = await Promise.all([join(folder, "photos", "a.png"), join(elsewhere, "b.png")].map(readChatPicture));
  return [
    { question: "Who?", pictures: [a!, b!], answer: "Two\ndogs." },
    { question: "Is <image> a word?", pictures: [], answer: "Yes." },
    { question: "", pictures: [a!], answer: "A dog." },
  ];
}

describe("a saved chat", () => {
  it("comes back as it was", async () => {
    const path = join(folder, "chat.json");
    const exchanges = await talked();
    await saveChat(path, { exchanges, system: "Be short." }, "models/dogs");
    expect(await loadChat(path, readChatPicture)).toEqual({ exchanges, system: "Be short." });
    const [sample] = JSON.parse(await readFile(path, "utf8")) as [Record<string, unknown>];
    expect(sample["image"]).toEqual(["photos/a.png", join(elsewhere, "b.png"), "photos/a.png"]);
    expect(sample["conversations"]).toMatchObject([
      { from: "human", value: "<image>\n<image>\nWho?" },
      { from: "gpt", value: "Two\ndogs." },
      { from: "human", value: "Is <image> a word?" },
      { from: "gpt" },
      { from: "human", value: "<image>\n" },
      { from: "gpt" },
    ]);
  });

  it("is a sample", async () => {
    const path = join(folder, "sample.json");
    await saveChat(path, { exchanges: (await talked()).slice(2), system: undefined }, "m");
    const samples = await readSamples(path);
    expect(samples).toMatchObject([
      { images: ["photos/a.png"], conversations: [{ from: "human" }, { value: "A dog." }] },
    ]);
  });

  it("is not made of pictures that lie nowhere", async () => {
    const picture = { key: "k", pixels: { width: 1, height: 1, data: new Uint8Array(3) } };
    const exchanges = [{ question: "", pictures: [picture], answer: "" }];
    const saving = saveChat(join(folder, "none.json"), { exchanges, system: undefined }, "m");
    await expect(saving).rejects.toMatchObject({ code: "CHAT_SAVE" });
  });

  it.each([
    ["{}", "CHAT_FILE"],
    ["[", "JSON_INVALID"],
    ['{"conversations":[{"from":"gpt","value":""}]}', "CHAT_FILE"],
    ['{"conversations":[{"from":"human","value":""}]}', "CHAT_FILE"],
    ['{"conversations":[{"from":"human","value":"<image>"},{"from":"gpt","value":""}]}', "CHAT_FILE"],
    ['{"image":"gone.png","conversations":[]}', "PICTURE_MISSING"],
    ['{"pictures":[1e9],"conversations":[]}', "CHAT_FILE"],
  ])("that says %s is refused with %s", async (text, code) => {
    const path = join(folder, "bad.json");
    await writeFile(path, text);
    await expect(loadChat(path, readChatPicture)).rejects.toMatchObject({ code });
  });
});

it("gets an ending where it has none", () => {
  expect(["a", "b/c", "d.json", "e.jsonl"].map(chatFile)).toEqual(["a.json", join("b", "c.json"), "d.json", "e.jsonl"]);
});
