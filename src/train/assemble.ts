// Puts a model together: two bases joined by a fresh projector, or a model directory to go on from.
import { InputError } from "../errors.ts";
import { random } from "../data/random.ts";
import { type Shape, sizeOf } from "../graph/tensor.ts";
import { parsePreprocessor, type Preprocessor, withFit } from "../image/preprocessor.ts";
import { checkLayers, type LlavaConfig } from "../models/config.ts";
import { openLanguage, openLlava, openVision, type TokenizerFiles } from "../models/node.ts";
import { projectorShapes } from "../models/projector.ts";
import { memoryWeights, type PartWeights } from "../models/weights.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { ContinuedModel, NewModel, Recipe } from "./recipe.ts";
import { addTokens } from "./vocabulary.ts";

export const imageToken = "<image>";

/** A whole model before a stage: weights still in their files. */
export interface Assembly {
  readonly config: LlavaConfig;
  readonly vision: PartWeights;
  readonly projector: PartWeights;
  readonly language: PartWeights;
  readonly tokenizer: Tokenizer;
  /** with the image token added */
  readonly tokenizerFiles: TokenizerFiles;
  readonly preprocessor: Preprocessor;
  readonly endIds: readonly number[];
  close(): Promise<void>;
}

/** Opens what the recipe names. A fresh projector is a pure function of the recipe's seed. */
export function assemble(recipe: Recipe): Promise<Assembly> {
  return "path" in recipe.model ? continued(recipe.model) : joined(recipe.model, recipe.seed);
}

async function continued(model: ContinuedModel): Promise<Assembly> {
  const files = await openLlava(model.path);
  const language = { config: files.config.language, weights: files.language };
  const extended = addTokens(await files.tokenizer(), language, model.new_tokens ?? []);
  const template = model.template === undefined ? {} : { template: model.template };
  return {
    config: { ...files.config, language: extended.config, ...template },
    vision: files.vision,
    projector: files.projector,
    language: extended.weights,
    tokenizer: extended.tokenizer,
    tokenizerFiles: extended.tokenizerFiles,
    preprocessor: parsePreprocessor(await files.preprocessor(), files.where, files.config.vision.family),
    endIds: files.endIds,
    close: files.close,
  };
}

async function joined(model: NewModel, seed: number): Promise<Assembly> {
  const [vision, language] = [await openVision(model.vision.path), await openLanguage(model.language.path)];
  const tokens = [imageToken, ...(model.new_tokens ?? [])];
  const extended = addTokens(await language.tokenizer(), language, tokens);
  // a SigLIP tower has nothing but patches: "default" would drop the first of them, as it does in transformers
  const dropsClass = model.vision.tokens === "patch" && vision.config.family !== "siglip";
  const config: LlavaConfig = {
    vision: vision.config,
    language: extended.config,
    projector: {
      kind: model.projector.kind,
      pixelShuffle: model.projector.pixel_shuffle,
      bias: true,
      activation: "gelu",
    },
    features: { layer: model.vision.layer, select: dropsClass ? "default" : "full" },
    ...(model.vision.tiles === undefined ? {} : { tiles: model.vision.tiles.max }),
    imageTokenId: extended.tokenizer.controlId(imageToken)!,
    ...(model.template === undefined ? {} : { template: model.template }),
  };
  checkLayers(config, model.vision.path);
  checkShuffle(config, model.vision.path);
  const preprocessor = parsePreprocessor(await vision.preprocessor(), vision.where, vision.config.family);
  return {
    config,
    vision: vision.weights,
    projector: freshProjector(config, seed),
    language: extended.weights,
    tokenizer: extended.tokenizer,
    tokenizerFiles: extended.tokenizerFiles,
    preprocessor: model.vision.fit === undefined ? preprocessor : withFit(preprocessor, model.vision.fit),
    endIds: language.endIds,
    close: async () => {
      await vision.close();
      await language.close();
    },
  };
}

function checkShuffle({ vision, projector, features }: LlavaConfig, where: string): void {
  const side = vision.imageSize / vision.patchSize;
  const r = projector.pixelShuffle;
  const classToken = features.select === "full" && vision.family !== "siglip";
  if (r === 1 || (side % r === 0 && !classToken)) return;
  throw new InputError("PIXEL_SHUFFLE", {
    expected: classToken ? "patches without the class token" : `a pixel_shuffle that divides ${side}`,
    got: `pixel_shuffle ${r}`,
    where,
    fix: classToken ? "set model.vision.tokens: patch" : "choose another pixel_shuffle",
  });
}

/** Weights as PyTorch's nn.Linear starts: uniform in ±1/√inputs. */
function freshProjector(config: LlavaConfig, seed: number): PartWeights {
  const shapes = projectorShapes(config);
  const inputs = (name: string): number => shapes.get(name.replace(/bias$/, "weight"))![1]!;
  const fill = (name: string, shape: Shape): Float32Array => {
    const draw = random(seed, "projector", name);
    const bound = 1 / Math.sqrt(inputs(name));
    return Float32Array.from({ length: sizeOf(shape) }, () => (2 * draw.float() - 1) * bound);
  };
  return memoryWeights(new Map([...shapes].map(([name, shape]) => [name, { shape, data: fill(name, shape) }])));
}
