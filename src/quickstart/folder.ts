// Scenes as a folder that anyone could have made: photos, captions.json and instances.json in COCO's format.
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import { captionsOf } from "./captions.ts";
import { pictureSide, sceneJpeg } from "./draw.ts";
import { boxOf, makeScene, nouns } from "./scenes.ts";
import type { Scene } from "./scenes.ts";

/** What to draw: `count` scenes of one split, into `folder`. */
export interface SceneFolderOptions {
  readonly folder: string;
  readonly split: string;
  readonly count: number;
  readonly seed: number;
  /** told after each picture */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Draws scenes into `folder/photos/*.jpg` and writes `folder/captions.json` and `folder/instances.json`, each file
 * whole or not at all. Pictures that are there already are kept: the same seed, split and index draw the same.
 */
export async function writeSceneFolder(options: SceneFolderOptions): Promise<Scene[]> {
  const { folder, split, count, seed, onProgress, signal } = options;
  const photos = join(folder, "photos");
  const scenes = Array.from({ length: count }, (_, index) => makeScene(seed, split, index));
  const captions = `${JSON.stringify(cocoCaptions(scenes), null, 1)}\n`;
  // the captions tell which scenes the photos show: photos of other scenes go
  if (!(await isSame(join(folder, "captions.json"), captions))) await rm(photos, { recursive: true, force: true });
  await mkdir(photos, { recursive: true });
  const drawn = new Set(await readdir(photos));
  await writeFileAtomic(join(folder, "captions.json"), captions);
  await writeFileAtomic(join(folder, "instances.json"), `${JSON.stringify(cocoInstances(scenes), null, 1)}\n`);
  for (const [index, scene] of scenes.entries()) {
    signal?.throwIfAborted();
    const name = `${scene.id}.jpg`;
    if (!drawn.has(name)) await writeFileAtomic(join(photos, name), await sceneJpeg(scene));
    onProgress?.(index + 1);
  }
  return scenes;
}

async function isSame(path: string, text: string): Promise<boolean> {
  return (await readFile(path, "utf8").catch(() => undefined)) === text;
}

/** COCO's caption file: https://cocodataset.org/#format-data, section 5. */
export function cocoCaptions(scenes: readonly Scene[]): object {
  const annotations = scenes.flatMap((scene, image) =>
    captionsOf(scene).map((caption) => ({ image_id: image + 1, caption })),
  );
  return {
    images: cocoImages(scenes),
    annotations: annotations.map((annotation, i) => ({ id: i + 1, ...annotation })),
  };
}

/** COCO's object file (section 1): boxes are x, y, width, height in pixels of the drawn picture. */
export function cocoInstances(scenes: readonly Scene[]): object {
  const annotations = scenes.flatMap((scene, image) =>
    scene.things.map((thing) => {
      const [x1, y1, x2, y2] = boxOf(thing).map((value) => Math.round(value * pictureSide * 10) / 10) as [
        number,
        number,
        number,
        number,
      ];
      const width = Math.round((x2 - x1) * 10) / 10;
      const height = Math.round((y2 - y1) * 10) / 10;
      const bbox = [x1, y1, width, height];
      return {
        image_id: image + 1,
        category_id: nouns.indexOf(thing.noun) + 1,
        bbox,
        area: Math.round(width * height),
        iscrowd: 0,
      };
    }),
  );
  return {
    images: cocoImages(scenes),
    annotations: annotations.map((annotation, i) => ({ id: i + 1, ...annotation })),
    categories: nouns.map((name, i) => ({ id: i + 1, name, supercategory: "thing" })),
  };
}

function cocoImages(scenes: readonly Scene[]): object[] {
  return scenes.map((scene, image) => ({
    id: image + 1,
    file_name: `${scene.id}.jpg`,
    width: pictureSide,
    height: pictureSide,
  }));
}
