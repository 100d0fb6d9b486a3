// Pixels of pictures as they are asked for, for stages whose tower learns: their features cannot be kept.
import { pictureFile } from "../data/picture-path.ts";
import { readPictureBytes } from "../image/node.ts";
import type { Preprocessor } from "../image/preprocessor.ts";
import { type FeatureStore, pictureName, type PictureSource, preparePicture } from "./features.ts";
import type { Features } from "./step-context.ts";

/** What steps are given of pictures: features or, where the stage trains the tower, pixels; those have no features. */
export interface StagePictures {
  readonly load: Features;
  readonly loadByHash?: FeatureStore["loadByHash"];
}

/** Reads and preprocesses pictures by their names: [pictures, 3, H, W]. Throws what reading and decoding throw. */
export function livePixels(preprocessor: Preprocessor, pictures: readonly PictureSource[]): Features {
  const sources = new Map(pictures.map((picture) => [pictureName(picture), picture]));
  return async (names) => {
    const each = await Promise.all(
      names.map(async (name) => {
        const picture = sources.get(name)!;
        return preparePicture(picture, await readPictureBytes(pictureFile(picture.root, picture.image)), preprocessor);
      }),
    );
    const all = new Float32Array(each.reduce((sum, { length }) => sum + length, 0));
    let offset = 0;
    for (const one of each) {
      all.set(one, offset);
      offset += one.length;
    }
    return all;
  };
}
