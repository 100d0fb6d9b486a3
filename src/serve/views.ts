// A picture's views as a model's tower takes them.
import type { Pixels } from "../image/pixels.ts";
import { preprocess } from "../image/preprocess.ts";
import type { Preprocessor } from "../image/preprocessor.ts";
import { pictureView, pictureViews } from "../image/tiles.ts";

/** All that decides a picture's views; plain data, so that another process can make them. */
export interface ViewPlan {
  readonly preprocessor: Preprocessor;
  /** most tiles; absent: the model sees pictures whole */
  readonly tiles?: number | undefined;
  /** the whole alone, whatever the tiles */
  readonly low: boolean;
}

/** The views [3, S, S] in order. */
export function makeViews(pixels: Pixels, { preprocessor, tiles, low }: ViewPlan): Float32Array[] {
  if (tiles === undefined) return [preprocess(pixels, preprocessor)];
  if (low) return [pictureView(pixels, preprocessor, { index: 0, most: tiles })];
  return pictureViews(pixels, preprocessor, tiles);
}
