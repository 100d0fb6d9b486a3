// A job's pictures: what the tower gets to see as bytes in files of limited size, and the numbers that bytes stand for.
import { join } from "node:path";
import { pictureFile } from "../../data/picture-path.ts";
import { writeFileAtomic } from "../../formats/node.ts";
import { encodeSafetensors } from "../../formats/safetensors-write.ts";
import { readPictureBytes } from "../../image/node.ts";
import { fitPixels, normalised } from "../../image/preprocess.ts";
import { inputSize, type Preprocessor } from "../../image/preprocessor.ts";
import { type PictureSource, uprightPicture } from "../../train/features.ts";
import type { Job } from "./job-file.ts";

/** A file's pixels are in memory at once while it is written. */
const MOST_BYTES = 2 ** 28;
/** Pictures decoded at a time. */
const TOGETHER = 16;

export interface PixelOptions {
  readonly preprocessor: Preprocessor;
  /** of a file, in bytes */
  readonly shardBytes: number;
  /** told of pictures */
  readonly onPicture: () => void;
}

/**
 * Writes `data/pixels-….safetensors` below a folder and `data/values.safetensors`; a byte per colour takes a quarter of
 * the preprocessed numbers' room, and gives them back exactly. Throws what reading and decoding pictures throws.
 */
export async function writePixels(
  folder: string,
  pictures: readonly PictureSource[],
  { preprocessor, shardBytes, onPicture }: PixelOptions,
): Promise<Job["pictures"]> {
  const { width, height } = inputSize(preprocessor);
  const one = width * height * 3;
  const perFile = Math.max(1, Math.floor(Math.min(shardBytes, MOST_BYTES) / one));
  const files: string[] = [];
  const count = Math.ceil(pictures.length / perFile);
  for (let start = 0; start < pictures.length; start += perFile) {
    const group = pictures.slice(start, start + perFile);
    const pixels = new Uint8Array(group.length * one);
    await inTurn(group, async (picture, i) => {
      pixels.set(await fitted(picture, preprocessor), i * one);
      onPicture();
    });
    const shape = [group.length, height, width, 3];
    files.push(`data/pixels-${number(files.length + 1)}-of-${number(count)}.safetensors`);
    await writeFileAtomic(
      join(folder, files.at(-1)!),
      encodeSafetensors([{ name: "pixels", dtype: "U8", shape, data: pixels }]),
    );
  }
  const values = "data/values.safetensors";
  await writeFileAtomic(
    join(folder, values),
    encodeSafetensors([{ name: "values", dtype: "F32", shape: [3, 256], data: valuesOf(preprocessor) }]),
  );
  return { files, per_file: perFile, values, size: [height, width] };
}

const number = (n: number): string => String(n).padStart(5, "0");

async function fitted(picture: PictureSource, preprocessor: Preprocessor): Promise<Uint8Array> {
  const bytes = await readPictureBytes(pictureFile(picture.root, picture.image));
  return fitPixels(await uprightPicture(picture, bytes), preprocessor).data;
}

/** What the bytes 0 to 255 become in each channel. */
function valuesOf(preprocessor: Preprocessor): Float32Array {
  const data = Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3));
  return normalised({ width: 256, height: 1, data }, preprocessor);
}

async function inTurn<T>(items: readonly T[], work: (item: T, place: number) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += TOGETHER) {
    await Promise.all(items.slice(start, start + TOGETHER).map((item, i) => work(item, start + i)));
  }
}
