// Frozen features, computed once: a file per picture, keyed by the picture's bytes, the preprocessing and the tower.
import { createHash } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { pictureFile } from "../data/picture-path.ts";
import { float32ToFloat16 } from "../formats/half.ts";
import { openFile, writeFileAtomic } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors } from "../formats/safetensors-write.ts";
import { decodePicture, pictureHash, readPictureBytes } from "../image/node.ts";
import { orient, type Pixels } from "../image/pixels.ts";
import { preprocess } from "../image/preprocess.ts";
import { type Preprocessor, preprocessorKey } from "../image/preprocessor.ts";
import { pictureView, type View } from "../image/tiles.ts";
import { tokensPerPicture } from "../models/config.ts";
import { createPictureEncoder, type PictureEncoder } from "../models/encode-pictures.ts";
import { featureWidth } from "../models/projector.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Assembly } from "./assemble.ts";

export interface FeatureStore {
  /** features of pictures one behind the other, [pictures · tokens, r²·E] */
  load(pictures: readonly string[]): Promise<Float32Array<ArrayBuffer>>;
  /** features of all views of the picture whose bytes have this hash: [views · tokens, r²·E] */
  loadByHash(hash: string): Promise<Float32Array<ArrayBuffer>>;
  /** a digest of a picture's bytes, by its full name; undefined when it has no features here */
  contentOf(picture: string): string | undefined;
  /** pictures that had to be encoded */
  readonly encoded: number;
}

export interface FeatureProgress {
  readonly done: number;
  readonly total: number;
}

/** A picture by the name that samples use, and the folder it lies in. */
export interface PictureSource {
  readonly image: string;
  readonly root: string;
  /** flipped left to right */
  readonly mirrored?: boolean;
  /** one of several views of it */
  readonly view?: View;
}

export interface FeatureOptions {
  readonly engine: Engine;
  readonly assembly: Pick<Assembly, "config" | "vision" | "preprocessor">;
  readonly pictures: readonly PictureSource[];
  /** folder of the cache; made when missing */
  readonly cache: string;
  readonly onProgress?: (progress: FeatureProgress) => void;
  readonly signal?: AbortSignal;
}

/** The largest float16; features beyond it are kept as float32. */
const float16Max = 65504;
const batch = 8;

/** The name that samples' pictures go by when several folders are in play. */
export const pictureName = ({ image, root, ...seen }: PictureSource): string => `${root}\n${image}${viewSuffix(seen)}`;

/** What tells views of one picture apart. */
function viewSuffix({ mirrored = false, view }: Omit<PictureSource, "image" | "root">): string {
  return `${mirrored ? "\nmirrored" : ""}${view ? `\nview ${view.index} of ${view.most}` : ""}`;
}

/** A picture as it is seen before any preprocessing. Throws what decoding throws. */
export async function uprightPicture(
  { image, root, mirrored = false }: PictureSource,
  bytes: Uint8Array,
): Promise<Pixels> {
  const pixels = await decodePicture(bytes, pictureFile(root, image));
  // EXIF's orientation 2 is the mirror image
  return mirrored ? orient(pixels, 2) : pixels;
}

/** A picture's pixels as the tower takes them, [3, H, W]. Throws what decoding throws. */
export async function preparePicture(
  picture: PictureSource,
  bytes: Uint8Array,
  preprocessor: Preprocessor,
): Promise<Float32Array> {
  const upright = await uprightPicture(picture, bytes);
  return picture.view ? pictureView(upright, preprocessor, picture.view) : preprocess(upright, preprocessor);
}

const fileName = (hash: string, seen: Omit<PictureSource, "image" | "root">): string =>
  `${hash}${viewSuffix(seen).replaceAll(/\s+/g, "-")}.safetensors`;

/** Encodes what the cache lacks. A kill leaves whole files only, so that the next run goes on where this one stopped. */
export async function cacheFeatures(options: FeatureOptions): Promise<FeatureStore> {
  const { engine, assembly, pictures, onProgress, signal } = options;
  const folder = join(options.cache, await towerKey(assembly));
  await mkdir(folder, { recursive: true });
  const known = new Set(await readdir(folder));
  const files = new Map<string, string>();
  const ofHash = new Map<string, string[]>();
  let encoder: PictureEncoder | undefined;
  let encoded = 0;
  for (let start = 0; start < pictures.length; start += batch) {
    signal?.throwIfAborted();
    const group = pictures.slice(start, start + batch);
    const read = await Promise.all(group.map(async ({ image, root }) => readPictureBytes(pictureFile(root, image))));
    const names = read.map((bytes, i) => fileName(pictureHash(bytes), group[i]!));
    group.forEach((picture, i) => {
      files.set(pictureName(picture), join(folder, names[i]!));
      if (picture.mirrored) return;
      const hash = pictureHash(read[i]!);
      const paths = ofHash.get(hash) ?? [];
      paths[picture.view?.index ?? 0] = join(folder, names[i]!);
      ofHash.set(hash, paths);
    });
    const missing = group.flatMap((picture, i) =>
      known.has(names[i]!) ? [] : [{ picture, bytes: read[i]!, name: names[i]! }],
    );
    if (missing.length > 0) {
      encoder ??= await createPictureEncoder(engine, assembly.config, assembly.vision, batch);
      await encodeGroup(encoder, assembly, missing, folder);
      for (const { name } of missing) known.add(name);
      encoded += missing.length;
    }
    onProgress?.({ done: Math.min(start + batch, pictures.length), total: pictures.length });
  }
  await encoder?.release();
  return {
    load: (names) =>
      loadFeatures(
        assembly,
        names.map((name) => files.get(name)!),
      ),
    loadByHash: (hash) => loadFeatures(assembly, ofHash.get(hash)!),
    contentOf: (name) => {
      const file = files.get(name);
      return file && basename(file, ".safetensors");
    },
    encoded,
  };
}

interface Missing {
  readonly picture: PictureSource;
  readonly bytes: Uint8Array;
  readonly name: string;
}

async function encodeGroup(
  encoder: PictureEncoder,
  { config, preprocessor }: FeatureOptions["assembly"],
  missing: readonly Missing[],
  folder: string,
): Promise<void> {
  const pixels = await Promise.all(missing.map(({ picture, bytes }) => preparePicture(picture, bytes, preprocessor)));
  const features = await encoder.encode(pixels);
  const tokens = tokensPerPicture(config);
  await Promise.all(
    features.map((values, i) => {
      const shape = [tokens, values.length / tokens];
      const fits = values.every((x) => Math.abs(x) <= float16Max);
      const entry = fits
        ? ({ name: "features", dtype: "F16", shape, data: float32ToFloat16(values) } as const)
        : ({ name: "features", dtype: "F32", shape, data: values } as const);
      return writeFileAtomic(join(folder, missing[i]!.name), encodeSafetensors([entry]));
    }),
  );
}

async function loadFeatures(
  { config }: FeatureOptions["assembly"],
  paths: readonly string[],
): Promise<Float32Array<ArrayBuffer>> {
  const one = tokensPerPicture(config) * featureWidth(config);
  const all = new Float32Array(paths.length * one);
  await Promise.all(
    paths.map(async (path, i) => {
      const file = await openFile(path);
      try {
        all.set(await (await readSafetensors(file)).loadFloat32("features"), i * one);
      } finally {
        await file.close();
      }
    }),
  );
  return all;
}

/** Changes when anything does that decides a picture's features: weights, config, layer, shuffle, preprocessing. */
async function towerKey({ config, vision, preprocessor }: FeatureOptions["assembly"]): Promise<string> {
  const hash = createHash("sha256").update(
    JSON.stringify(["features-1", config.vision, config.features, config.projector.pixelShuffle]),
  );
  hash.update(preprocessorKey(preprocessor));
  for (const name of vision.shapes.keys()) hash.update(name).update(await vision.load(name));
  return hash.digest("hex").slice(0, 32);
}
