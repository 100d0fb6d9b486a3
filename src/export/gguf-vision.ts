// The picture encoder as llama.cpp's multimodal tools read it (tools/mtmd/clip.cpp, projector type `mlp`): the mmproj file.
import type { WrittenGgufType } from "../formats/gguf-quantise.ts";
import type { GgufEntry, GgufField } from "../formats/gguf-write.ts";
import type { Preprocessor } from "../image/preprocessor.ts";
import { chosenStates, layersNeeded, neededWeights } from "../models/vision.ts";
import type { LlavaFiles } from "../models/node.ts";
import { fileTypes } from "./gguf-language.ts";
import { ggufProjectorName, ggufVisionName } from "./gguf-names.ts";
import { unsupported } from "./unsupported.ts";

/** What `mlp` in llama.cpp can't say. Throws `EXPORT_UNSUPPORTED`. */
export function checkVision({ config, where }: LlavaFiles): void {
  const { vision, projector, features, tiles } = config;
  const fix = "use the model here, or export it with --to onnx; its language model alone can be exported from its base";
  const refuse = (expected: string, got: string): never => unsupported(where, expected, got, fix);
  if (vision.family === "vit") refuse("a CLIP or SigLIP tower, as llama.cpp's `mlp` has no ViT", "a ViT");
  if (projector.pixelShuffle > 1) {
    refuse("single patches, as llama.cpp's `mlp` has no pixel shuffle", `pixel shuffle ${projector.pixelShuffle}`);
  }
  if (projector.kind === "linear") refuse("a projector of two layers, as llama.cpp's `mlp`", "one layer");
  if (projector.activation !== "gelu") refuse("gelu in the projector, as llama.cpp's `mlp`", projector.activation);
  if (tiles !== undefined) refuse("pictures that are seen whole", `up to ${tiles} tiles`);
  const right = vision.family === "siglip" ? "full" : "default";
  if (features.select !== right) refuse(`all patches and no class token ("${right}")`, `"${features.select}"`);
  const states = chosenStates(vision, features);
  // llama.cpp keeps them as a set and stacks them from the lowest layer on
  if (states.some((state, i) => i > 0 && state <= states[i - 1]!)) {
    refuse("feature layers from low to high", states.join(", "));
  }
}

export function visionFields(
  { config }: LlavaFiles,
  preprocessor: Preprocessor,
  name: string,
  type: WrittenGgufType,
): Map<string, GgufField> {
  const { vision: v, features, language } = config;
  const number = (value: number): GgufField => ({ type: "uint32", value });
  const gelu = v.activation === "gelu" || v.activation === "gelu_pytorch_tanh";
  return new Map<string, GgufField>([
    ["general.architecture", { type: "string", value: "clip" }],
    ["general.type", { type: "string", value: "mmproj" }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", number(fileTypes[type])],
    ["clip.has_text_encoder", { type: "bool", value: false }],
    ["clip.has_vision_encoder", { type: "bool", value: true }],
    ["clip.has_llava_projector", { type: "bool", value: true }],
    ["clip.projector_type", { type: "string", value: "mlp" }],
    // neither of the two: CLIP's quick gelu
    ["clip.use_gelu", { type: "bool", value: gelu }],
    ["clip.use_silu", { type: "bool", value: false }],
    ["clip.vision.image_size", number(v.imageSize)],
    ["clip.vision.patch_size", number(v.patchSize)],
    ["clip.vision.embedding_length", number(v.hiddenSize)],
    ["clip.vision.feed_forward_length", number(v.intermediateSize)],
    ["clip.vision.projection_dim", number(language.hiddenSize)],
    ["clip.vision.block_count", number(layersNeeded(v, features))],
    ["clip.vision.attention.head_count", number(v.heads)],
    ["clip.vision.attention.layer_norm_epsilon", { type: "float32", value: v.layerNormEpsilon }],
    ["clip.vision.feature_layer", { type: "int32", value: chosenStates(v, features) }],
    ["clip.vision.image_mean", { type: "float32", value: preprocessor.mean }],
    ["clip.vision.image_std", { type: "float32", value: preprocessor.std }],
  ]);
}

/** Matrices in `type`; vectors and the positions, which are added, in float32. Layers that no feature needs stay out. */
export function visionEntries({ config, vision, projector }: LlavaFiles, type: WrittenGgufType): GgufEntry[] {
  const needed = neededWeights(config.vision, config.features).map((name): GgufEntry => {
    const shape = vision.shapes.get(name)!;
    const wide = shape.length > 1 && name !== "position";
    return { name: ggufVisionName(name), type: wide ? type : "F32", shape, data: () => vision.load(name) };
  });
  const { hiddenSize } = config.language;
  const biases = config.projector.bias ? [] : ["linear_1.bias", "linear_2.bias"];
  return [
    ...needed,
    ...[...projector.shapes].map(([name, shape]): GgufEntry => ({
      name: ggufProjectorName(name),
      type: shape.length > 1 ? type : "F32",
      shape,
      data: () => projector.load(name),
    })),
    // llama.cpp always adds them
    ...biases.map((name): GgufEntry => ({
      name: ggufProjectorName(name),
      type: "F32",
      shape: [hiddenSize],
      data: () => Promise.resolve(new Float32Array(hiddenSize)),
    })),
  ];
}
