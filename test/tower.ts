// The CLIP tower of a llava model as a folder of its own, as LLaVA's checkpoints name one.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../src/formats/node.ts";
import { encodeSafetensors } from "../src/formats/safetensors-write.ts";
import { visionFileName } from "../src/models/names.ts";
import type { LlavaFiles } from "../src/models/node.ts";

export async function writeTower(folder: string, { config, vision }: LlavaFiles): Promise<void> {
  const side = config.vision.imageSize;
  await mkdir(folder);
  await writeFile(join(folder, "config.json"), JSON.stringify(config.vision.raw));
  const size = { height: side, width: side };
  const preprocessor = { image_processor_type: "CLIPImageProcessor", size: { shortest_edge: side }, crop_size: size };
  await writeFile(join(folder, "preprocessor_config.json"), JSON.stringify(preprocessor));
  const entries = [...vision.shapes].map(([name, shape]) => ({
    name: `vision_model.${visionFileName("clip", name)}`,
    dtype: "F32" as const,
    shape,
    data: () => vision.load(name),
  }));
  await writeFileAtomic(join(folder, "model.safetensors"), encodeSafetensors(entries));
}
