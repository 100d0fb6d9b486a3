// PEFT's adapter format (github.com/huggingface/peft, docs/source/developer_guides/checkpoint.md): names, config, checks.
import { z } from "zod";
import { InputError } from "../errors.ts";
import type { SafetensorsEntry } from "../formats/safetensors-write.ts";
import { sameShape, showShape } from "../graph/tensor.ts";
import { type AdaptedPart, type Adapter, factorNames, type Lora, loraTargets, type LoraTarget } from "./lora.ts";
import { canonicalLlavaName, partPrefix } from "./names.ts";
import { memoryWeights, type PartWeights, type TensorReader } from "./weights.ts";

export const adapterConfigFile = "adapter_config.json";
export const adapterWeightsFile = "adapter_model.safetensors";

/** What stands before a module's path in every PEFT file. */
const peftPrefix = "base_model.model.";
/** Where transformers keeps the parts of a llava model in memory since 4.52; PEFT's names follow that. */
const memoryPrefix: Readonly<Record<AdaptedPart, (name: string) => string>> = {
  projector: (name) => `model.multi_modal_projector.${name}`,
  language: (name) => name.replace(/^model\./, "model.language_model."),
};

/** adapter_config.json; `base` is where the model lies that the adapter belongs to. */
export function adapterConfigJson({ lora, parts }: Adapter, base: string): Readonly<Record<string, unknown>> {
  const places = { projector: "multi_modal_projector", language: "language_model" };
  const inside = Object.keys(parts).map((part) => places[part as AdaptedPart]);
  return {
    peft_type: "LORA",
    base_model_name_or_path: base,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    // a pattern: the vision tower may have modules of the same names
    target_modules: `.*(?:${inside.join("|")}).*\\.(?:${lora.targets.join("|")})`,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    modules_to_save: null,
    task_type: null,
    use_dora: false,
    use_rslora: false,
  };
}

/** The adapter's tensors by PEFT's names. */
export function adapterEntries({ parts }: Adapter): SafetensorsEntry[] {
  return (Object.entries(parts) as [AdaptedPart, PartWeights][]).flatMap(([part, weights]) =>
    [...weights.shapes].map(([name, shape]) => ({
      name: peftPrefix + memoryPrefix[part](name),
      dtype: "F32" as const,
      shape,
      data: () => weights.load(name),
    })),
  );
}

const empty = z.record(z.string(), z.unknown()).refine((value) => Object.keys(value).length === 0, "no patterns");
const configSchema = z.looseObject({
  peft_type: z.literal("LORA"),
  r: z.int().positive(),
  lora_alpha: z.number(),
  use_rslora: z.boolean().default(false),
  base_model_name_or_path: z.string().nullish(),
  bias: z.literal("none").default("none"),
  use_dora: z.literal(false).default(false),
  fan_in_fan_out: z.literal(false).default(false),
  rank_pattern: empty.default({}),
  alpha_pattern: empty.default({}),
  modules_to_save: z.array(z.never()).nullish(),
});

/** What adapter_config.json says. Throws `ADAPTER_CONFIG` for kinds of adapters that we do not compute. */
export function parseAdapterConfig(
  json: unknown,
  where: string,
): { readonly rank: number; readonly alpha: number; readonly base?: string } {
  const result = configSchema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw new InputError("ADAPTER_CONFIG", {
      expected: `a plain LoRA adapter (${issue.message})`,
      got: `another ${issue.path.join(".") || "file"}`,
      where,
      fix: "merge this adapter with PEFT, or train one with bias none and without DoRA, patterns or modules_to_save",
    });
  }
  const { r: rank, lora_alpha: given, use_rslora: rooted, base_model_name_or_path: base } = result.data;
  // rank-stabilised LoRA divides by √rank instead (arXiv 2312.03732)
  return { rank, alpha: rooted ? given * Math.sqrt(rank) : given, ...(base == null ? {} : { base }) };
}

/** Matches an adapter's tensors with the linear layers of the parts that it adds to. Throws `ADAPTER_MISMATCH`. */
export async function readAdapterTensors(
  reader: TensorReader,
  { rank, alpha }: Pick<Lora, "rank" | "alpha">,
  base: Readonly<Partial<Record<AdaptedPart, PartWeights>>>,
): Promise<Adapter> {
  const found = { projector: new Map<string, string>(), language: new Map<string, string>() };
  for (const name of reader.shapes.keys()) {
    const [part, ours] = placeOf(name) ?? fail(reader, "LoRA factors of linear layers", name);
    found[part].set(ours, name);
  }
  const targets = new Set<LoraTarget>();
  const parts: Partial<Record<AdaptedPart, PartWeights>> = {};
  for (const [part, files] of Object.entries(found) as [AdaptedPart, Map<string, string>][]) {
    if (files.size === 0) continue;
    const weights = base[part] ?? fail(reader, "an adapter of a language model", `one of its ${part}`);
    const shapes = new Map([...files].map(([ours, file]) => [ours, reader.shapes.get(file)!]));
    for (const target of checkFactors(reader, part, weights, shapes, rank)) targets.add(target);
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const [ours, shape] of shapes) tensors.set(ours, { shape, data: await reader.load(files.get(ours)!) });
    parts[part] = memoryWeights(tensors);
  }
  if (targets.size === 0) fail(reader, "LoRA factors", "no tensor");
  return { lora: { rank, alpha, targets: [...targets] }, parts };
}

/** The part and our name of a tensor: of a llava model in any layout, or of a bare language model. */
function placeOf(name: string): readonly [AdaptedPart, string] | undefined {
  const path = name.startsWith(peftPrefix) ? name.slice(peftPrefix.length) : name;
  if (!/\.lora_[AB]\.weight$/.test(path)) return undefined;
  if (path.startsWith("model.layers.")) return ["language", path];
  const canonical = canonicalLlavaName(path);
  for (const part of ["projector", "language"] as const) {
    if (canonical.startsWith(partPrefix[part])) return [part, canonical.slice(partPrefix[part].length)];
  }
  return undefined;
}

/** Both factors of every layer, of shapes that belong to it; returns the names of the layers. */
function checkFactors(
  reader: TensorReader,
  part: AdaptedPart,
  weights: PartWeights,
  factors: ReadonlyMap<string, readonly number[]>,
  rank: number,
): LoraTarget[] {
  const known: readonly string[] = loraTargets[part];
  return [...factors.keys()].map((factor) => {
    const weight = factor.replace(/lora_[AB]\.weight$/, "weight");
    const target = weight.split(".").at(-2)!;
    const shape = weights.shapes.get(weight);
    if (shape === undefined || !known.includes(target)) return fail(reader, `one of ${known.join(", ")}`, factor);
    const { a, b } = factorNames(weight);
    const wanted: (readonly [string, readonly number[]])[] = [
      [a, [rank, shape[1]!]],
      [b, [shape[0]!, rank]],
    ];
    for (const [name, right] of wanted) {
      const got = factors.get(name) ?? fail(reader, `${name} ${showShape(right)}`, "none");
      if (!sameShape(got, right)) fail(reader, `${name} ${showShape(right)}`, showShape(got));
    }
    return target as LoraTarget;
  });
}

function fail(reader: TensorReader, expected: string, got: string): never {
  const fix = "check that the adapter was trained for this model";
  throw new InputError("ADAPTER_MISMATCH", { expected, got, where: reader.where, fix });
}
