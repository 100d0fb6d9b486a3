// Greedy answers equal those of PyTorch and transformers, whatever is cached and however requests are batched.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { readJsonFile, openFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { tokensPerPicture } from "../models/config.ts";
import { openLanguage, openLlava } from "../models/node.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { createGenerator, type Generator } from "./generator.ts";
import { createPictureProjector, createPictureReader } from "./pictures.ts";
import { mostLikely } from "./sampling.ts";
import type { Prompt } from "./sequence.ts";
import { uploadWeights } from "./weights.ts";

let engine: Engine;
beforeAll(async () => void (engine = await createDirectEngine()));
afterAll(() => engine.close());

const greedy = async (generator: Generator, prompt: Prompt, count: number, stopIds: number[] = []) =>
  (await generator.generate({ prompt, maxNewTokens: count, stopIds, sample: mostLikely })).ids;

describe.skipIf(!lab.present)("goldens of PyTorch", () => {
  it("tinystories", async () => {
    const files = await openLanguage(lab.path("models/tinystories-656k-llama"));
    const { parameter } = await uploadWeights(engine, files.weights);
    const generator = createGenerator({ engine, config: files.config, parameter });
    const golden = (await readJsonFile(lab.path("models/tinystories-656k-llama/golden.json"))) as {
      prompt_ids: number[];
      greedy_ids: number[];
    };
    const { prompt_ids, greedy_ids } = golden;
    const answer = await greedy(generator, { ids: prompt_ids }, greedy_ids.length - prompt_ids.length);
    expect([...prompt_ids, ...answer]).toEqual(greedy_ids);
    await files.close();
  });

  it.each(["llava-clip-untied", "llava-siglip-tied"])("%s", async (name) => {
    const folder = `goldens/${name}`;
    const files = await openLlava(lab.path(folder));
    const source = await openFile(lab.path(`${folder}/golden.safetensors`));
    const golden = await readSafetensors(source);
    const { parameter } = await uploadWeights(engine, files.language);
    const projector = await uploadWeights(engine, files.projector);
    const generator = createGenerator({ engine, config: files.config.language, parameter });
    const pictures = await createPictureReader(
      engine,
      files.config,
      files.vision,
      await createPictureProjector(engine, files.config, projector.parameter),
    );
    const pixels = (await golden.loadFloat32("pixel_values")).slice(0, 3 * 32 * 32);
    const ids = [...new BigInt64Array((await golden.load("input_ids")).bytes.slice().buffer)].slice(0, 24).map(Number);
    const start = ids.indexOf(files.config.imageTokenId);
    const picture = await pictures.read("a", () => pixels);
    const prompt = { ids, pictures: [{ start, count: tokensPerPicture(files.config), picture }] };
    const { greedy: expected } = (await readJsonFile(lab.path(`${folder}/golden.json`))) as { greedy: number[] };
    expect(await greedy(generator, prompt, 16)).toEqual(expected);
    await source.close();
    await files.close();
  });

  it("smollm2", async () => {
    const files = await openLanguage(lab.path("models/smollm2-135m-instruct"));
    const t0 = performance.now();
    const { parameter, release } = await uploadWeights(engine, files.weights);
    console.log("upload", performance.now() - t0);
    const generator = createGenerator({ engine, config: files.config, parameter });
    const golden = (await readJsonFile(lab.path("models/smollm2-135m-instruct/golden.json"))) as {
      chat: { prompt_ids: number[]; greedy_ids: number[]; last_logits_top10: [number, number][] }[];
    };
    for (const { prompt_ids, greedy_ids, last_logits_top10 } of golden.chat) {
      let first: Float32Array | undefined;
      const t0 = performance.now();
      let t1 = 0;
      const { ids } = await generator.generate({
        prompt: { ids: prompt_ids },
        maxNewTokens: greedy_ids.length,
        stopIds: files.endIds,
        sample: (logits) => {
          first ??= logits.slice();
          t1 ||= performance.now();
          return mostLikely(logits);
        },
      });
      console.log("prefill", prompt_ids.length, t1 - t0, "decode/token", (performance.now() - t1) / (ids.length - 1));
      expect(ids).toEqual(greedy_ids);
      for (const [id, logit] of last_logits_top10) expect(Math.abs(first![id]! - logit)).toBeLessThan(2e-3);
    }
    release();
    await files.close();
  }, 60_000);
});
