// `/set` and the options: one table, the same bounds.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyTokenizer } from "../../text/tokenizers.fixture.ts";
import {
  addAnsweringOptions,
  type AnsweringFlags,
  answerOptions,
  changeSetting,
  settingNames,
  settingsOf,
  showSettings,
} from "./settings.ts";

let folder: string;
let schema: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "settings-"));
  schema = join(folder, "schema.json");
  await writeFile(schema, '{"type":"object","properties":{"dogs":{"type":"integer"}}}');
});
afterAll(() => rm(folder, { recursive: true }));

const flags = (...args: string[]): AnsweringFlags =>
  addAnsweringOptions(new Command().exitOverride().configureOutput({ writeErr: () => undefined }))
    .parse(args, { from: "user" })
    .opts();

const given = [
  "--temperature",
  "0.7",
  "--top-p",
  "0.9",
  "--top-k",
  "40",
  "--min-p",
  "0.05",
  "--repetition-penalty",
  "1.1",
];

describe("settings", () => {
  it("are the same from options and from /set", async () => {
    const more = ["--seed", "3", "--max-new-tokens", "9", "--stop", "a", "--stop", "b", "--schema", schema, "--stats"];
    const typed = await settingsOf(flags(...given, ...more));
    let set = await settingsOf(flags());
    for (let i = 0; i < given.length; i += 2) set = await changeSetting(set, given[i]!.slice(2), [given[i + 1]!]);
    for (const [name, ...words] of [
      ["seed", "3"],
      ["max-new-tokens", "9"],
      ["stop", "a", "b"],
      ["schema", schema],
      ["stats", "on"],
    ])
      set = await changeSetting(set, name!, words);
    expect(set).toEqual(typed);
    expect(answerOptions(typed, tinyTokenizer("bytes"))).toMatchObject({
      temperature: 0.7,
      topP: 0.9,
      topK: 40,
      minP: 0.05,
      repetitionPenalty: 1.1,
      seed: 3,
      maxNewTokens: 9,
      stopTexts: ["a", "b"],
      constraint: { push: expect.any(Function) as unknown },
    });
  });

  it("are taken back by off, and shown with their meaning", async () => {
    const before = await settingsOf(flags());
    let set = await settingsOf(flags(...given, "--max-new-tokens", "9", "--stop", "a", "--schema", schema, "--stats"));
    for (const name of settingNames) set = await changeSetting(set, name, ["off"]);
    expect(set).toEqual(before);
    const shown = showSettings(before);
    expect(shown.map(([name]) => name)).toEqual(settingNames);
    expect(shown.every(([, value, meaning]) => value !== "" && meaning!.length > 5)).toBe(true);
  });

  it.each([
    ["temperature", "2.1"],
    ["temperature", "hot"],
    ["top-p", "0"],
    ["top-k", "1.5"],
    ["min-p", "-1"],
    ["repetition-penalty", "0"],
    ["seed", "x"],
    ["max-new-tokens", "0"],
  ])("refuse %s %s, typed or set", async (name, value) => {
    expect(() => flags(`--${name}`, value)).toThrow(/Expected a/);
    const changing = changeSetting(await settingsOf(flags()), name, [value]);
    await expect(changing).rejects.toMatchObject({ code: "CHAT_SETTING", details: { where: name, got: value } });
  });

  it("refuse names that there are not, and files that hold no JSON", async () => {
    const set = await settingsOf(flags());
    for (const name of ["temprature", "__proto__", "constructor"])
      await expect(changeSetting(set, name, ["1"])).rejects.toMatchObject({ code: "CHAT_SETTING" });
    await expect(changeSetting(set, "schema", [folder])).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(changeSetting(set, "schema", ["none.json"])).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});
