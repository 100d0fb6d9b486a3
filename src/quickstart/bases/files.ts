// Writes the tiny bases as Hugging Face model folders.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../formats/node.ts";
import { encodeSafetensors } from "../../formats/safetensors-write.ts";
import { visionFileName, visionPrefix } from "../../models/names.ts";
import type { PartWeights } from "../../models/weights.ts";
import { languageConfigJson, preprocessorJson, visionConfigJson } from "./shapes.ts";

type Precision = "F16" | "F32";

/** A `clip_vision_model` folder. */
export async function writeVision(folder: string, weights: PartWeights, precision: Precision): Promise<void> {
  const fileName = (name: string): string => visionPrefix.clip + visionFileName("clip", name);
  await writeWeights(folder, weights, precision, fileName);
  await writeJson(folder, "config.json", visionConfigJson);
  await writeJson(folder, "preprocessor_config.json", preprocessorJson);
}

/** A `llama` folder with its tokenizer. */
export async function writeLanguage(
  folder: string,
  weights: PartWeights,
  tokenizer: { readonly tokenizerJson: object; readonly tokenizerConfig: object },
  precision: Precision,
): Promise<void> {
  await writeWeights(folder, weights, precision, (name) => name);
  await writeJson(folder, "config.json", languageConfigJson);
  await writeJson(folder, "generation_config.json", { eos_token_id: languageConfigJson.eos_token_id });
  await writeJson(folder, "tokenizer.json", tokenizer.tokenizerJson);
  await writeJson(folder, "tokenizer_config.json", tokenizer.tokenizerConfig);
}

async function writeWeights(
  folder: string,
  weights: PartWeights,
  dtype: Precision,
  fileName: (name: string) => string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const entries = [...weights.shapes].map(([name, shape]) => ({
    name: fileName(name),
    dtype,
    shape,
    data: () => weights.load(name),
  }));
  await writeFileAtomic(join(folder, "model.safetensors"), encodeSafetensors(entries, { format: "pt" }));
}

async function writeJson(folder: string, name: string, value: unknown): Promise<void> {
  await writeFileAtomic(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
}
