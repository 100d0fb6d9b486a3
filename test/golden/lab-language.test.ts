// Real language models through the whole graph: SmolLM2's dequantised GGUF and TinyStories against their goldens.
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { openLanguage } from "../../src/models/node.ts";
import { createDirectEngine } from "../../src/runtime/direct-node.ts";
import { rowOf } from "../../src/train/parity-rows.ts";
import { loadWhole } from "../../src/train/parity-whole.ts";
import { lab } from "../lab.ts";
import { aroundLanguage, noWeights } from "../tiny-model.ts";

describe.skipIf(!lab.present)("the lab's language models", async () => {
  const engine = await createDirectEngine({ threads: 1 });
  afterAll(() => engine.close());

  /** Logits [V] after the prompt, with the golden that lies in the folder. */
  async function lastLogits<G>(
    name: string,
    prompt: (golden: G) => number[],
  ): Promise<{ logits: Float32Array; golden: G }> {
    const folder = lab.path(`models/${name}`);
    const golden = JSON.parse(readFileSync(`${folder}/golden.json`, "utf8")) as G;
    const files = await openLanguage(folder);
    const ids = Int32Array.from(prompt(golden));
    const config = aroundLanguage(files.config);
    const whole = await loadWhole(engine, { config, vision: noWeights, projector: noWeights, language: files.weights });
    await files.close();
    const { logits } = await whole.run(
      [
        rowOf(
          ids,
          ids.map(() => -100),
          [],
        ),
      ],
      [],
      false,
    );
    await whole.release();
    return { logits: (logits!.data as Float32Array).slice(-files.config.vocabSize), golden };
  }

  it("SmolLM2 has its golden's ten largest logits: blocks dequantised, rows of q and k put back in order", async () => {
    type Golden = { chat: { prompt_ids: number[]; last_logits_top10: [number, number][]; last_logits_sum: number }[] };
    const { logits, golden } = await lastLogits<Golden>("smollm2-135m-instruct", ({ chat }) => chat[0]!.prompt_ids);
    for (const [id, expected] of golden.chat[0]!.last_logits_top10) {
      expect(Math.abs(logits[id]! - expected)).toBeLessThan(2e-3);
    }
    const largest = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, 10);
    expect(largest).toEqual(golden.chat[0]!.last_logits_top10.map(([id]) => id));
  });

  it("TinyStories has its golden's logits", async () => {
    type Golden = { prompt_ids: number[]; last_prompt_logits_first8: number[]; last_prompt_argmax: number };
    const { logits, golden } = await lastLogits<Golden>("tinystories-656k-llama", ({ prompt_ids }) => prompt_ids);
    golden.last_prompt_logits_first8.forEach((x, id) => expect(Math.abs(logits[id]! - x)).toBeLessThan(1e-4));
    expect(logits.indexOf(Math.max(...logits))).toBe(golden.last_prompt_argmax);
  });
});
