// Greedy ids and logits of real models equal those of PyTorch and transformers.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { openFile, readJsonFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { tokensPerPicture } from "../models/config.ts";
import { openLanguage, openLlava } from "../models/node.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { createGenerator } from "./generator.ts";
import { createPictureProjector, createPictureReader } from "./pictures.ts";
import { mostLikely } from "./sampling.ts";
import { uploadWeights } from "./weights.ts";

let engine: Engine;
beforeAll(async () => void (engine = await createDirectEngine()));
afterAll(() => engine.close());

// skipped where ../shared does not lie beside the project
describe.skipIf(!lab.present)("goldens of PyTorch", () => {
  it("tinystories: 64 greedy ids", async () => {
    const folder = lab.path("models/tinystories-656k-llama");
    const files = await openLanguage(folder);
    const golden = (await readJsonFile(`${folder}/golden.json`)) as { prompt_ids: number[]; greedy_ids: number[] };
    const { prompt_ids: prompt, greedy_ids: expected } = golden;
    const { parameter } = await uploadWeights(engine, files.weights);
    const generator = createGenerator({ engine, config: files.config, parameter });
    const request = { maxNewTokens: expected.length - prompt.length, stopIds: [], sample: mostLikely };
    const { ids } = await generator.generate({ ...request, prompt: { ids: prompt } });
    expect([...prompt, ...ids]).toEqual(expected);
    await files.close();
  });

  it.each(["llava-clip-untied", "llava-siglip-tied"])("%s: 16 greedy ids about a picture", async (name) => {
    const folder = lab.path(`goldens/${name}`);
    const files = await openLlava(folder);
    const { config } = files;
    const source = await openFile(`${folder}/golden.safetensors`);
    const golden = await readSafetensors(source);
    const { greedy } = (await readJsonFile(`${folder}/golden.json`)) as { greedy: number[] };
    const { parameter } = await uploadWeights(engine, files.language);
    const projector = await uploadWeights(engine, files.projector);
    const projection = await createPictureProjector(engine, config, projector.parameter);
    const pictures = await createPictureReader(engine, config, files.vision, projection);
    const generator = createGenerator({ engine, config: config.language, parameter });

    const pixels = (await golden.loadFloat32("pixel_values")).slice(0, 3 * config.vision.imageSize ** 2);
    const { bytes } = await golden.load("input_ids");
    const ids = [...new BigInt64Array(bytes.slice().buffer)].slice(0, 24).map(Number);
    const picture = await pictures.read("first", () => [pixels]);
    const place = { start: ids.indexOf(config.imageTokenId), count: tokensPerPicture(config), picture };
    const request = { prompt: { ids, pictures: [place] }, maxNewTokens: 16, stopIds: [], sample: mostLikely };
    expect((await generator.generate(request)).ids).toEqual(greedy);
    await source.close();
    await files.close();
  });

  it("smollm2: greedy ids of all prompts together, and the ten largest logits", async () => {
    const folder = lab.path("models/smollm2-135m-instruct");
    const files = await openLanguage(folder);
    const { parameter, release } = await uploadWeights(engine, files.weights);
    const generator = createGenerator({ engine, config: files.config, parameter });
    const { chat } = (await readJsonFile(`${folder}/golden.json`)) as {
      chat: { prompt_ids: number[]; greedy_ids: number[]; last_logits_top10: [number, number][] }[];
    };
    const answers = await Promise.all(
      chat.map(async ({ prompt_ids, greedy_ids }) => {
        let first: Float32Array | undefined;
        const sample = (logits: Float32Array): number => mostLikely((first ??= logits) && logits);
        const request = { prompt: { ids: prompt_ids }, maxNewTokens: greedy_ids.length, stopIds: files.endIds };
        const { ids } = await generator.generate({ ...request, sample });
        return { ids, first: first! };
      }),
    );
    for (const [i, { greedy_ids, last_logits_top10 }] of chat.entries()) {
      const { ids, first } = answers[i]!;
      expect(ids).toEqual(greedy_ids);
      for (const [id, logit] of last_logits_top10) expect(Math.abs(first[id]! - logit)).toBeLessThan(2e-3);
    }
    await generator.release();
    release();
    await files.close();
  });
});
