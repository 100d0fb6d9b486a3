// `llava export --to hf` by transformers itself: every key in its place, our ids and pixels, our logits and greedy ids.
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { exportModel } from "../../src/export/export.ts";
import { openFile } from "../../src/formats/node.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { encodePng } from "../../src/image/node.ts";
import { greedyIds } from "../greedy.ts";
import { tinyJson } from "../tiny-model.ts";
import { writeTinyLlava } from "../tiny-export.ts";

const script = fileURLToPath(new URL("hf_export.py", import.meta.url));
const python = process.env["LLAVA_PYTHON"];
const question = "Q: what is this? A:";

interface Theirs {
  readonly input_ids: number[];
  readonly pixel_values: Float32Array;
  readonly logits: Float32Array;
  readonly greedy: number[];
}

async function readTheirs(path: string): Promise<Theirs> {
  const source = await openFile(path);
  try {
    const file = await readSafetensors(source);
    const ids = async (name: string): Promise<number[]> =>
      [...new BigInt64Array((await file.load(name)).bytes.buffer)].map(Number);
    const floats = (name: string): Promise<Float32Array> => file.loadFloat32(name);
    return {
      input_ids: await ids("input_ids"),
      pixel_values: await floats("pixel_values"),
      logits: await floats("logits"),
      greedy: await ids("greedy"),
    };
  } finally {
    await source.close();
  }
}

const siglip = {
  vision_config: { ...tinyJson.vision_config, model_type: "siglip_vision_model" },
  vision_feature_layer: -1,
  vision_feature_select_strategy: "full",
  text_config: { ...tinyJson.text_config, tie_word_embeddings: true },
};
const cases: [string, object, object][] = [
  ["CLIP, untied", {}, {}],
  ["SigLIP, tied, in shards", siglip, { shardBytes: 8000 }],
  ["qwen2, two feature layers, no biases in the projector", qwen(), {}],
];

function qwen(): object {
  const text_config = { ...tinyJson.text_config, model_type: "qwen2" };
  return { text_config, vision_feature_layer: [-2, -1], multimodal_projector_bias: false };
}

describe.skipIf(python === undefined)("with transformers (LLAVA_PYTHON names a Python that has it)", () => {
  it.each(cases)(
    "%s",
    async (_, changes, options) => {
      const temporary = await mkdtemp(join(tmpdir(), "hf-export-"));
      const at = (name: string): string => join(temporary, name);
      try {
        await writeTinyLlava(at("model"), changes as Record<string, object>);
        const data = Uint8Array.from({ length: 21 * 17 * 3 }, (__, i) => (i * i * 7) % 256);
        await writeFile(at("a.png"), await encodePng({ width: 21, height: 17, data }));
        await exportModel(at("model"), { to: "hf", out: at("out"), ...options });
        const run = [script, at("out"), at("a.png"), `<image>${question}`, at("theirs.safetensors")];
        execFileSync(python!, run, { stdio: "pipe" });
        const theirs = await readTheirs(at("theirs.safetensors"));
        const asked = { text: question, picture: at("a.png"), count: theirs.greedy.length };
        const ours = await greedyIds(at("model"), asked);
        expect(ours.prompt).toEqual(theirs.input_ids);
        expect(ours.pixels).toEqual(theirs.pixel_values);
        expect(ours.logits.length).toBe(theirs.logits.length);
        const farthest = ours.logits.reduce((most, x, i) => Math.max(most, Math.abs(x - theirs.logits[i]!)), 0);
        expect(farthest).toBeLessThan(2e-4);
        expect(ours.ids).toEqual(theirs.greedy);
      } finally {
        await rm(temporary, { recursive: true, force: true });
      }
    },
    300_000,
  );
});
