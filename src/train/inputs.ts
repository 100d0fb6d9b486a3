// What decides a run's numbers, as plain data that checkpoints keep: a resumed run must have the same.
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { openFile } from "../formats/node.ts";
import { pictureFile } from "../data/picture-path.ts";
import { pictureHash, readPictureBytes } from "../image/node.ts";
import type { LlavaConfig } from "../models/config.ts";
import { type FeatureStore, pictureName, type PictureSource } from "./features.ts";
import type { Questions } from "./questions.ts";
import type { Recipe } from "./recipe.ts";
import type { StageData } from "./stage-data.ts";

/** Nested plain data; keys are what a refused resume names. */
export interface RunInputs {
  readonly [key: string]: unknown;
}

/** All that is known before pictures are read. Paths do not count, what lies there does. */
export async function runInputs(
  recipe: Recipe,
  config: LlavaConfig,
  stages: readonly StageData[],
  questions: ReadonlyMap<string, Questions>,
): Promise<RunInputs> {
  return plain({
    ...decisive(recipe),
    order: stages.map(({ stage }) => stage.name).join(", "),
    config,
    bases: await baseDigests(recipe),
    data: Object.fromEntries(
      stages.map(({ stage, sums, hash }) => {
        // how samples are packed is not what they are
        const { rows: _rows, sharing: _sharing, tokens_saved: _saved, ...counted } = sums;
        return [stage.name, { ...counted, sha256: hash }];
      }),
    ),
    questions: Object.fromEntries([...questions].map(([name, { hash }]) => [name, hash])),
  });
}

/** The bytes of every stage's pictures, and of those that it is asked about. */
export async function pictureInputs(
  stages: readonly StageData[],
  questions: ReadonlyMap<string, Questions>,
  features: FeatureStore,
): Promise<RunInputs> {
  const digests: Record<string, string> = {};
  for (const { stage, pictures } of stages) {
    const hash = createHash("sha256");
    for (const picture of [...pictures, ...(questions.get(stage.name)?.pictures ?? [])])
      hash.update(features.contentOf(pictureName(picture)) ?? (await digestPicture(picture)));
    digests[stage.name] = hash.digest("hex");
  }
  return { pictures: digests };
}

/** Of a picture that has no features in the cache, as its stage trains the tower. */
async function digestPicture({ root, image }: PictureSource): Promise<string> {
  return pictureHash(await readPictureBytes(pictureFile(root, image)));
}

/** Throws `RESUME_CHANGED` with every difference between a checkpoint's inputs and, as far as they go, these. */
export function refuseChanged(where: string, then: RunInputs, now: RunInputs): void {
  const known = Object.fromEntries(Object.entries(then).filter(([key]) => key in now));
  const changes = differences(known, now);
  if (changes.length === 0) return;
  const more = changes.length > 8 ? ` and ${changes.length - 8} more` : "";
  throw new InputError("RESUME_CHANGED", {
    expected: "the recipe, data and base models that the run started with",
    got: `${changes.slice(0, 8).join(", ")}${more}`,
    where,
    fix: "undo the change, or start again in another output folder",
  });
}

/** "stages.align.batch_size 4 → 8", for every key that differs. */
export function differences(then: unknown, now: unknown): string[] {
  const [before, after] = [flat(then), flat(now)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => before.get(key) !== after.get(key))
    .map((key) => `${key} ${show(before.get(key))} → ${show(after.get(key))}`);
}

function flat(value: unknown, prefix = "", into = new Map<string, unknown>()): Map<string, unknown> {
  if (typeof value !== "object" || value === null) return into.set(prefix, value);
  for (const [key, inner] of Object.entries(value)) flat(inner, prefix === "" ? key : `${prefix}.${key}`, into);
  return into;
}

function show(value: unknown): string {
  if (value === undefined) return "(none)";
  // of a digest, enough to tell it from another
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? value.slice(0, 8) : String(value);
}

/** The recipe without what it is called, where things lie, and what only says when to save or to stop. */
function decisive({ name: _name, output: _output, cache: _cache, stages, ...rest }: Recipe): RunInputs {
  const settled = stages.map(({ name, checkpoint_every: _every, keep: _keep, on_nan: _onNan, ...stage }) => [
    name,
    stage,
  ]);
  const places = new Set(["path", "images"]);
  const withoutPlaces = JSON.stringify(
    { ...rest, stages: Object.fromEntries(settled) as unknown },
    (key, value: unknown) => (places.has(key) ? undefined : value),
  );
  return JSON.parse(withoutPlaces) as RunInputs;
}

/** As it will be read back from a checkpoint. */
const plain = (value: unknown): RunInputs => JSON.parse(JSON.stringify(value)) as RunInputs;

async function baseDigests({ model }: Recipe): Promise<Record<string, string>> {
  const paths = "path" in model ? { path: model.path } : { vision: model.vision.path, language: model.language.path };
  const digests = Object.entries(paths).map(async ([part, path]) => [part, await digestWeights(path)] as const);
  return Object.fromEntries(await Promise.all(digests));
}

/** Pieces of a weights file that are looked at, beside its size: any training changes all of them. */
const pieces = 256;
const pieceBytes = 4096;

/** A digest of the weight files in a folder (or of one file), in milliseconds whatever their size. */
async function digestWeights(path: string): Promise<string> {
  const isFolder = (await stat(path)).isDirectory();
  const folder = isFolder ? path : dirname(path);
  const names = isFolder ? (await readdir(path)).filter((name) => /\.(safetensors|gguf)$/.test(name)).toSorted() : [];
  const hash = createHash("sha256");
  for (const file of isFolder ? names.map((name) => join(folder, name)) : [path]) {
    const source = await openFile(file);
    try {
      hash.update(`${source.size}\n`);
      const step = Math.max(pieceBytes, Math.floor(source.size / pieces));
      for (let at = 0; at < source.size; at += step) {
        hash.update(await source.read(at, Math.min(pieceBytes, source.size - at)));
      }
    } finally {
      await source.close();
    }
  }
  return hash.digest("hex");
}
