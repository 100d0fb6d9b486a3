// A model of ours under the ledger, with a scripted generator in the place of weights.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSamples } from "../data/samples.ts";
import { InputError } from "../errors.ts";
import type { Assistant } from "../generate/assistant.ts";
import type { Generation, GenerationRequest } from "../generate/generation.ts";
import { tinyConfig } from "../generate/tiny-model.fixture.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { templateNamed } from "../text/templates.ts";
import { readBuiltInKinds } from "./kind.ts";
import { localEndpoint } from "./local.ts";
import { runTeacher } from "./run.ts";

test("writes samples one request after the other, keeps answers, and counts what it cannot take", async () => {
  const tokenizer = tinyTokenizer("bytes");
  const end = tokenizer.controlId("<|im_end|>") as number;
  let [underWay, most, asked] = [0, 0, 0];
  const generate = async ({ prompt, onToken }: GenerationRequest): Promise<Generation> => {
    const text = tokenizer.decode(prompt.ids as Int32Array);
    asked++;
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setTimeout(resolve, 2));
    underWay--;
    if (text.includes("Photo 2"))
      throw new InputError("PROMPT_TOO_LONG", { expected: "a short one", got: "a long one" });
    const ids = [...tokenizer.encode(` A photo of a dog, number ${/Photo (\d)/.exec(text)?.[1]}. `), end];
    for (const id of ids) onToken?.(id);
    return { ids, finishReason: "stop", promptTokens: prompt.ids.length, cachedTokens: 0 };
  };
  const assistant: Assistant = {
    generator: { config: tinyConfig(), generate, reset() {}, release: async () => {} },
    tokenizer,
    template: templateNamed("chatml"),
    endIds: [],
    where: "test",
    release: async () => {},
  };
  const folder = mkdtempSync(join(tmpdir(), "local-"));
  try {
    const pictures = [0, 1, 2, 3].map((i) => ({ id: `p${i}`, image: `p${i}.jpg`, captions: [`Photo ${i} of a dog`] }));
    const options = { kinds: await readBuiltInKinds(["rephrase"]), model: "local:tiny", out: join(folder, "x.json") };
    const run = () => runTeacher(pictures, { ...options, endpoint: localEndpoint(assistant, "tiny") });
    const summary = await run();
    expect(summary).toMatchObject({ accepted: 3, spent: 0, failed: { ENDPOINT_REFUSED: 1 } });
    expect([most, asked]).toEqual([1, 4]);
    const samples = await readSamples(options.out);
    expect(samples[1]?.conversations[1]?.value).toBe("A photo of a dog, number 1.");
    expect(samples[1]?.extra).toMatchObject({ teacher: "local:tiny", kind: "rephrase" });
    // asked again alone, a request that fails takes nothing from what is there
    expect(await run()).toMatchObject({ accepted: 3, failed: { ENDPOINT_REFUSED: 1 } });
    expect(asked).toBe(5);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
