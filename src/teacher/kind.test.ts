import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { builtInKinds, readBuiltInKinds, readKind } from "./kind.ts";
import { requestsFor } from "./messages.ts";
import { openSheets } from "./sheet.ts";
import { judge } from "./verdict.ts";

const kinds = await readBuiltInKinds(builtInKinds);
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const dog = [0.1, 0.25, 0.50004, 0.9999] as const;
const picture = {
  id: "7",
  image: "7.jpg",
  captions: [" a dog on a  sofa ", "Unable to see this image", "A DOG SLEEPS ON A COUCH"],
  objects: [{ name: "Dog", box: dog }],
};

async function folder(prompt: string, example?: string): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "kind-"));
  folders.push(path);
  await mkdir(join(path, "examples"));
  await writeFile(join(path, "prompt.md"), prompt);
  if (example !== undefined) await writeFile(join(path, "examples", "1.md"), example);
  return path;
}

const head = "---\nname: mine\nversion: 2\ntemperature: 0\nmax_tokens: 9\ncontext: captions\nreply: pair\n---\n";

describe("built-in kinds", () => {
  test("LLaVA's three unless told, all by name, and no other", async () => {
    expect(kinds.map(({ name }) => name)).toEqual([...builtInKinds]);
    expect((await readBuiltInKinds()).map(({ name }) => name)).toEqual(["conversation", "detail", "reasoning"]);
    expect(() => readBuiltInKinds(["poem"])).toThrow(/"poem".*choose among conversation/);
  });

  test.each(kinds)("the examples of $name would be accepted themselves", (kind) => {
    expect(kind.examples.length).toBeGreaterThanOrEqual(2);
    for (const { reply, context } of kind.examples) {
      const verdict = judge({ text: reply, finishReason: "stop" }, kind, "q");
      expect(verdict).toHaveProperty("pairs");
      expect(context.includes("[0.")).toBe(kind.context.some((part) => part === "boxes" || part === "regions"));
      expect(context.includes("Not in the picture")).toBe(kind.context.includes("absent"));
    }
  });

  test.each(kinds)("$name is laid out as LLaVA's: system, examples in turn, context", async (kind) => {
    const others = ["Cat", "Car", "Boat"].map((name) => ({ ...picture, id: name, objects: [{ name, box: dog }] }));
    const sheets = await openSheets([picture, ...others], 0);
    const request = requestsFor(kind, { model: "m", seed: 3 })(picture, () => sheets(picture));
    if ("skipped" in request) throw new Error("skipped");
    const { messages } = request.chat();
    const shots = kind.examples.flatMap(() => ["user", "assistant"]);
    expect(messages.map(({ role }) => role)).toEqual(["system", ...shots, "user"]);
    const captions = "A dog on a sofa.\nA dog sleeps on a couch.";
    const parts = {
      boxes: "dog: [0.100, 0.250, 0.500, 1.000]",
      regions: "Dog: [0.100, 0.250, 0.500, 1.000]",
      counts: "dog: 1",
      absent: expect.stringMatching(/^Not in the picture: (?=.*cat)(?=.*car)(?=.*boat)[a-z, ]+$/),
    };
    const told = [
      captions,
      ...Object.entries(parts).flatMap(([part, text]) => (kind.context.includes(part as "boxes") ? [text] : [])),
    ];
    expect(messages.at(-1)?.content.split("\n\n")).toEqual(told);
  });
});

describe("requests", () => {
  test("the key depends on all that is sent and on the version of the prompt", () => {
    const [kind] = kinds;
    if (kind === undefined) throw new Error("no kind");
    const key = (...changes: Partial<typeof kind>[]): string => {
      const request = requestsFor(Object.assign({}, kind, ...changes) as typeof kind, { model: "m" })(picture);
      return "skipped" in request ? "" : request.key;
    };
    expect(key()).toBe(key());
    const changed = [key(), key({ version: 9 }), key({ system: "x" }), key({ temperature: 1 }), key({ maxTokens: 1 })];
    expect(new Set(changed).size).toBe(5);
  });

  test("a picture without a usable caption is skipped", () => {
    const [kind] = kinds;
    expect(
      requestsFor(kind as (typeof kinds)[number], { model: "m" })({ ...picture, captions: ["<image>"] }),
    ).toMatchObject({
      skipped: "no usable caption",
      id: "7-conversation",
    });
  });
});

describe("a user's kind", () => {
  test("is a folder", async () => {
    const kind = await readKind(
      await folder(`${head}Say it.\r\n`, "## Context\nA dog.\n\n## Reply\nQuestion:\na\n===\nAnswer:\nb\n"),
    );
    expect(kind).toMatchObject({ name: "mine", system: "Say it.", examples: [{ context: "A dog." }] });
  });

  test.each([
    ["no front matter", "Say it.", undefined, /front matter/],
    ["no prompt", head, undefined, /front matter/],
    ["an unknown part of the context", `${head.replace("captions", "captions+colours")}Say it.`, undefined, /context/],
    ["an unknown form of answers", `${head.replace("reply", "answer: poem\nreply")}Say it.`, undefined, /answer/],
    ["a wrong value", `${head.replace("pair", "poem")}Say it.`, undefined, /reply/],
    ["an unknown field", `${head.replace("version", "color: red\nversion")}Say it.`, undefined, /color/],
    ["no YAML", `${head.replace("version: 2", "version: [")}Say it.`, undefined, /YAML/],
    ["a placeholder", `${head}Say it.\nUse {{captions}}.`, undefined, /\{\{captions\}\}.*prompt\.md:10/],
    ["questions without use", `${head.replace("pair", "pair\nquestions: [a]")}Say it.`, undefined, /questions/],
    ["an example of another layout", `${head}Say it.`, "# Context\na", /## Context.*1\.md/],
  ])("with %s is refused", async (_name, prompt, example, message) => {
    await expect(readKind(await folder(prompt, example))).rejects.toMatchObject({
      code: "PROMPT_INVALID",
      message: expect.stringMatching(message) as string,
    });
  });

  test("that is missing is refused", async () => {
    await expect(readKind("/nowhere")).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});
