// Adapters side by side on one model answer as each alone does when it is part of the weights.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTinyAdapter } from "../../test/tiny-adapter.ts";
import { tinyPicture, writeTinyLlava } from "../../test/tiny-llava.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { preprocess } from "../image/preprocess.ts";
import { answerTurns, type Assistant, type Picture, placePictures, userTurn, writeAnswered } from "./assistant.ts";
import { decodeChatPicture, openAssistant, openAssistants } from "./node.ts";

let folder: string;
let engine: Engine;
let model: string;
let picture: Picture;

const answer = async (assistant: Assistant): Promise<readonly number[]> =>
  (await answerTurns(assistant, [userTurn("What is this?", 1)], [picture], { maxNewTokens: 12 })).token_ids;

/** What every token of a given answer looked at, over all layers. */
async function look(assistant: Assistant): Promise<Float32Array[]> {
  const { ids, imageRuns, from } = writeAnswered(assistant, [userTurn("What is this?", 1)], "A dog there.", [1]);
  const { reader, preprocessor } = assistant.sight!;
  const read = await reader.read(picture.key, async () => [preprocess(picture.pixels, preprocessor)]);
  return assistant.attention!.read(placePictures({ ids, imageRuns }, [read]), from, { layers: [0, 1] });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "adapted-"));
  model = join(folder, "model");
  await writeTinyLlava(model);
  engine = await createDirectEngine({ threads: 1 });
  const url = await tinyPicture(1);
  picture = await decodeChatPicture(Buffer.from(url.slice(url.indexOf(",") + 1), "base64"), "tiny");
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

describe("adapters on one model", () => {
  it("answer together as each does alone, also where one changes the projector or few layers", async () => {
    const adapters = [
      await writeTinyAdapter(join(folder, "a"), model, ["q_proj", "down_proj"]),
      await writeTinyAdapter(join(folder, "b"), model, ["v_proj"], 1),
      await writeTinyAdapter(join(folder, "c"), model, ["linear_2", "o_proj"]),
      await writeTinyAdapter(join(folder, "e"), model, ["linear_1"]),
    ];
    const assistants = await openAssistants(model, adapters, { engine });
    const together = await Promise.all(assistants.map(answer));
    for (const assistant of assistants.toReversed()) await assistant.release();
    const alone: (readonly number[])[] = [];
    for (const adapter of [undefined, ...adapters]) {
      const assistant = await openAssistant(model, { engine, adapter });
      alone.push(await answer(assistant));
      await assistant.release();
    }
    expect(together).toEqual(alone);
    expect(new Set(together.map(String)).size).toBe(5);
  });

  it("look at what the merged model looks at, side by side", async () => {
    const adapters = [
      await writeTinyAdapter(join(folder, "f"), model, ["q_proj", "k_proj", "up_proj"]),
      await writeTinyAdapter(join(folder, "g"), model, ["v_proj", "o_proj"], 1),
      await writeTinyAdapter(join(folder, "h"), model, ["linear_1"]),
    ];
    const assistants = await openAssistants(model, adapters, { engine });
    const together = await Promise.all(assistants.map(look));
    for (const assistant of assistants.toReversed()) await assistant.release();
    for (const [i, adapter] of adapters.entries()) {
      const merged = await openAssistant(model, { engine, adapter });
      const [maps, alone] = [together[i + 1]!, await look(merged)];
      await merged.release();
      expect(maps.map(({ length }) => length)).toEqual(alone.map(({ length }) => length));
      const furthest = (others: readonly Float32Array[]): number =>
        Math.max(...maps.flatMap((row, r) => [...row].map((weight, at) => Math.abs(weight - others[r]![at]!))));
      expect(furthest(alone)).toBeLessThan(1e-5);
      // and not at what the model looks at without it
      expect(furthest(together[0]!)).toBeGreaterThan(1e-3);
    }
  });

  it("are refused where they belong to another model, or the model has one inside", async () => {
    const adapter = await writeTinyAdapter(join(folder, "d"), model, ["q_proj"]);
    await expect(openAssistants(adapter, [adapter], { engine })).rejects.toMatchObject({ code: "ADAPTER_TWICE" });
    await expect(openAssistants(model, [folder], { engine })).rejects.toMatchObject({ code: "ADAPTER_MISSING" });
  });
});
