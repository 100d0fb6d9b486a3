// `llava inspect`: what a weights file or a model folder holds.
import type { Command } from "commander";
import { inspect, type Inspection, type TensorFacts } from "./inspection.ts";
import { addVerb } from "./options.ts";
import { grouped, print, printJson, showBytes, table } from "./output.ts";

interface Options {
  readonly json?: boolean;
  readonly tensors?: boolean;
}

export function addInspect(program: Command): void {
  addVerb(program, "inspect <path>", "show what a .safetensors, .gguf, .bin, .pt or .pth file or a model folder holds")
    .option("--tensors", "list every tensor, not one line for all layers")
    .option("--json", "print everything as JSON")
    .action(async (path: string, { json, tensors }: Options) => {
      const found = await inspect(path);
      if (json) printJson(found);
      else print(describe(found, tensors ?? false));
    });
}

function describe(found: Inspection, all: boolean): string {
  const counts = `${found.tensors.length} tensors, ${grouped(found.parameters)} parameters, ${showBytes(found.bytes)}`;
  const files = found.files.length > 1 ? ` in ${found.files.length} files` : "";
  const metadata = Object.entries(found.metadata).map(([key, value]) => [key, shorten(value)]);
  const rows = all ? found.tensors.map((tensor) => tensorRow(tensor, 1)) : folded(found.tensors);
  return [
    `${found.path}: ${found.format}, ${counts}${files}`,
    ...(found.model === undefined ? [] : ["", ...modelLines(found.model)]),
    ...(metadata.length === 0 ? [] : ["", table(metadata)]),
    "",
    table([["tensor", "dtype", "shape", "bytes", ""], ...rows], [3]),
  ].join("\n");
}

function modelLines(model: NonNullable<Inspection["model"]>): string[] {
  const { vision, projector, features, picture_tokens, tiles, language, template, parameters } = model;
  const lines: string[] = [];
  if (vision) {
    const { family, imageSize, patchSize, layers, hiddenSize, heads } = vision;
    const size = `${imageSize}×${imageSize} in patches of ${patchSize}`;
    lines.push(
      `vision     ${family}: ${size}, ${layers} layers of ${hiddenSize}, ${heads} heads; ${grouped(parameters.vision)} parameters`,
    );
  }
  if (projector && features) {
    const shuffle = projector.pixelShuffle > 1 ? `, pixel shuffle ${projector.pixelShuffle}` : "";
    const inTiles = tiles === undefined ? "" : ` or one of its up to ${tiles} tiles`;
    lines.push(
      `projector  ${projector.kind}${shuffle}: from layer ${[features.layer].flat().join(" and ")}, ${picture_tokens} tokens a picture${inTiles}; ${grouped(parameters.projector)} parameters`,
    );
  }
  if (language) {
    const { family, layers, hiddenSize, heads, keyValueHeads, vocabSize, maxPositions } = language;
    const width = `${layers} layers of ${hiddenSize}, ${heads} heads (${keyValueHeads} for keys and values)`;
    lines.push(
      `language   ${family}: ${width}, ${grouped(vocabSize)} tokens, context ${grouped(maxPositions)}; ${grouped(parameters.language)} parameters`,
    );
  }
  if (template !== undefined) lines.push(`template   ${template}`);
  return lines;
}

/** One row for tensors that differ in their layer's number alone. */
function folded(tensors: readonly TensorFacts[]): string[][] {
  const groups = new Map<string, TensorFacts[]>();
  for (const tensor of tensors) {
    const name = tensor.name.replace(/\.\d+\./, ".N.");
    const key = `${name} ${tensor.dtype} ${tensor.shape.join()}`;
    groups.set(key, [...(groups.get(key) ?? []), tensor]);
  }
  return [...groups.values()].map((group) => {
    const name = group[0]!.name;
    return tensorRow({ ...group[0]!, name: group.length > 1 ? name.replace(/\.\d+\./, ".N.") : name }, group.length);
  });
}

function tensorRow({ name, dtype, shape, bytes }: TensorFacts, times: number): string[] {
  return [name, dtype, `[${shape.join(", ")}]`, grouped(bytes), times > 1 ? `× ${times}` : ""];
}

function shorten(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}
