// Pictures from files, clipboard and camera: decoded beside the page's own thread, upright, no larger than models look at.
import type { Picture } from "./conversation.ts";

/** Longer sides are made this long: what a model sees of a picture, tiles included, is smaller. */
const mostSide = 1600;
const mostBytes = 100 * 2 ** 20;
/** up to so many pixels drawings and screenshots stay as sharp as they are */
const losslessPixels = 1_000_000;

/** Reads a picture anew, so that nothing of the file but its pixels is sent: no place, no time, no camera. */
export async function readPicture(file: Blob, name: string): Promise<Picture> {
  if (file.size > mostBytes) throw new Error(`${name} has more than ${mostBytes / 2 ** 20} MB.`);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${name} is no picture that this browser can read.`);
  });
  const scale = Math.min(1, mostSide / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale))) as [
    number,
    number,
  ];
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d")!;
  // what is transparent is white to the model, too
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const lossless = file.type === "image/png" && width * height <= losslessPixels;
  return { url: await urlOf(canvas, lossless ? "image/png" : "image/jpeg"), name, width, height };
}

async function urlOf(canvas: HTMLCanvasElement, type: string): Promise<string> {
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, type, 0.92));
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result as string));
    reader.addEventListener("error", () => reject(reader.error!));
    reader.readAsDataURL(blob!);
  });
}

/** Pictures among what was pasted or dropped. */
export function picturesIn(data: DataTransfer | null): File[] {
  return [...(data?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
}

/** Reads files one by one; those that cannot be read are told in one sentence. */
export async function readPictures(files: readonly File[]): Promise<{ pictures: Picture[]; problem: string }> {
  const pictures: Picture[] = [];
  const problems: string[] = [];
  for (const file of files) {
    try {
      pictures.push(await readPicture(file, file.name || "picture"));
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return { pictures, problem: problems.join(" ") };
}
