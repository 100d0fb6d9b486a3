// Real folders: a language model answers words, a tower does not, a picture is known by its bytes.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { encodePng } from "../image/node.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { answerTurns, userTurn } from "./assistant.ts";
import { openAssistant, readChatPicture } from "./node.ts";

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await createDirectEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "generate-"));
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

it("knows pictures by their bytes", async () => {
  const [a, b, c] = ["a.png", "b.png", "c.png"].map((name) => join(folder, name)) as [string, string, string];
  const png = (value: number) => encodePng({ width: 2, height: 2, data: new Uint8Array(12).fill(value) });
  await writeFile(a, await png(7));
  await writeFile(b, await png(7));
  await writeFile(c, await png(8));
  const [first, second, third] = await Promise.all([a, b, c].map(readChatPicture));
  expect(first!.key).toBe(second!.key);
  expect(third!.key).not.toBe(first!.key);
  expect(first!.pixels).toEqual({ width: 2, height: 2, data: new Uint8Array(12).fill(7) });
  await expect(readChatPicture(join(folder, "none.png"))).rejects.toMatchObject({ code: "PICTURE_MISSING" });
});

// skipped where ../shared does not lie beside the project
describe.skipIf(!lab.present)("model folders", () => {
  it("answers with a bare language model, the same text for the same seed", async () => {
    const seen: number[] = [];
    const onProgress = (done: number, total: number): void => void seen.push(done / total);
    const assistant = await openAssistant(lab.path("models/tinystories-656k-llama"), { engine, onProgress });
    expect(seen.at(-1)).toBe(1);
    const options = { maxNewTokens: 12, temperature: 0.9, topP: 0.95, seed: 4 };
    const ask = () => answerTurns(assistant, [userTurn("Once upon a time", 0)], [], options);
    const [answer, again] = [await ask(), await ask()];
    expect(answer.token_ids).toHaveLength(12);
    expect(again.token_ids).toEqual(answer.token_ids);
    expect(answer.text.length).toBeGreaterThan(10);
    const pictured = answerTurns(
      assistant,
      [userTurn("Who?", 1)],
      [{ key: "a", pixels: { width: 1, height: 1, data: new Uint8Array(3) } }],
    );
    await expect(pictured).rejects.toMatchObject({ code: "MODEL_TEXT_ONLY" });
    await assistant.release();
  });

  it.each([
    ["models/vit-tiny-patch16-224", {}, "MODEL_KIND"],
    ["models/none", {}, "MODEL_MISSING"],
    ["models/tinystories-656k-llama", { template: "chatml" }, "TEMPLATE_CONTROLS"],
    ["models/tinystories-656k-llama", { template: "nonsense" }, "TEMPLATE_UNKNOWN"],
  ])("%s with %j is refused with %s", async (path, options, code) => {
    await expect(openAssistant(lab.path(path), { engine, ...options })).rejects.toMatchObject({ code, exitCode: 2 });
  });
});
