// Random LoRA adapters of the tiny LLaVA, as PEFT's folders.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeSafetensors } from "../src/formats/safetensors-write.ts";
import { writeFileAtomic } from "../src/formats/node.ts";
import {
  adapterConfigFile,
  adapterConfigJson,
  adapterEntries,
  adapterWeightsFile,
} from "../src/models/adapter-files.ts";
import { languageShapes } from "../src/models/llama.ts";
import { type Adapter, type Lora, loraShapes } from "../src/models/lora.ts";
import { openLlava } from "../src/models/node.ts";
import { projectorShapes } from "../src/models/projector.ts";
import { randomWeights } from "./tiny-model.ts";

/** Writes an adapter of these layers of `model`; `layers`: of the first few alone, as PEFT's layers_to_transform makes them. */
export async function writeTinyAdapter(
  folder: string,
  model: string,
  targets: Lora["targets"],
  layers = 3,
): Promise<string> {
  const { config, close } = await openLlava(model);
  await close();
  const lora: Lora = { rank: 2, alpha: 8, targets };
  const weightsOf = (shapes: ReadonlyMap<string, readonly number[]>) =>
    randomWeights(
      new Map([...loraShapes(shapes, lora)].filter(([each]) => Number(/layers\.(\d+)/.exec(each)?.[1] ?? 0) < layers)),
    );
  const [language, projector] = [weightsOf(languageShapes(config.language)), weightsOf(projectorShapes(config))];
  const parts = { ...(language.shapes.size > 0 && { language }), ...(projector.shapes.size > 0 && { projector }) };
  const adapter: Adapter = { lora, parts };
  await mkdir(folder);
  await writeFile(join(folder, adapterConfigFile), JSON.stringify(adapterConfigJson(adapter, model)));
  await writeFileAtomic(join(folder, adapterWeightsFile), encodeSafetensors(adapterEntries(adapter), { format: "pt" }));
  return folder;
}
