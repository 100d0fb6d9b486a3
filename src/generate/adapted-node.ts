// A model with an adapter beside others: its factors are inputs of their own, the model's weights are shared.
import { readAdapter } from "../models/adapter-node.ts";
import type { LanguageConfig } from "../models/config.ts";
import { languageShapes } from "../models/llama.ts";
import { type Adapter, type Lora, loraShapes, loraTargets, mergedWeights } from "../models/lora.ts";
import type { LanguageFiles, LlavaFiles } from "../models/node.ts";
import type { PartWeights } from "../models/weights.ts";
import type { Engine, EngineBuffer } from "../runtime/engine.ts";
import type { Assistant, Sight } from "./assistant.ts";
import { createAttentionReader } from "./attention-maps.ts";
import type { LanguageWeights } from "./decoder.ts";
import { createGenerator } from "./generator.ts";
import { openSight } from "./sight-node.ts";
import { uploadWeights, type UploadedWeights } from "./weights.ts";

/** A model in the engine, its files still open. */
export interface LoadedModel {
  readonly engine: Engine;
  readonly files: LlavaFiles | LanguageFiles;
  readonly config: LanguageConfig;
  readonly parameter: (name: string) => EngineBuffer<"float32">;
  readonly assistant: Assistant;
}

/**
 * The model with the adapter in `folder`: a cache of its own, weights shared with the model, which must be released after
 * it. A projector that the adapter changes is loaded anew, with a picture encoder. Throws as `readAdapter`.
 */
export async function adaptedAssistant(model: LoadedModel, folder: string): Promise<Assistant> {
  const { engine, files, config, parameter, assistant } = model;
  const language = files.kind === "llava" ? files.language : files.weights;
  const base = files.kind === "llava" ? { projector: files.projector, language } : { language };
  const adapter = await readAdapter(folder, base);
  const factors = await languageFactors(engine, config, adapter);
  const weights: LanguageWeights = {
    parameter: (name) => (factors?.shapes.has(name) ? factors.uploaded.parameter(name) : parameter(name)),
    lora: factors?.lora,
  };
  const generator = createGenerator({ engine, config, ...weights });
  const attention = createAttentionReader(engine, config, weights);
  const own = await adaptedSight(model, adapter);
  const sight = own?.sight ?? assistant.sight;
  return {
    ...assistant,
    generator,
    attention,
    where: folder,
    ...(sight && { sight }),
    release: async () => {
      await generator.release();
      await attention.release();
      factors?.uploaded.release();
      await own?.release();
    },
  };
}

interface Factors {
  readonly lora: Lora;
  readonly shapes: PartWeights["shapes"];
  readonly uploaded: UploadedWeights;
}

/** The language model's factors in the engine; layers that the adapter leaves alone have factors of zeros. */
async function languageFactors(
  engine: Engine,
  config: LanguageConfig,
  { lora, parts: { language: given } }: Adapter,
): Promise<Factors | undefined> {
  if (given === undefined) return undefined;
  const known: readonly string[] = loraTargets.language;
  const own = { ...lora, targets: lora.targets.filter((target) => known.includes(target)) };
  const shapes = loraShapes(languageShapes(config), own);
  const load = async (name: string): Promise<Float32Array> =>
    given.shapes.has(name) ? given.load(name) : new Float32Array(shapes.get(name)!.reduce((a, b) => a * b, 1));
  return { lora: own, shapes, uploaded: await uploadWeights(engine, { shapes, load }) };
}

async function adaptedSight(
  { engine, files }: LoadedModel,
  { lora, parts }: Adapter,
): Promise<{ readonly sight: Sight; release(): Promise<void> } | undefined> {
  if (files.kind !== "llava" || parts.projector === undefined) return undefined;
  return openSight(engine, { ...files, projector: mergedWeights(files.projector, parts.projector, lora) });
}
