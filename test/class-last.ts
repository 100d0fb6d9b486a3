// CLIP as llama.cpp runs it since its pull request 13321 (its issue 25814, open): the class token stands behind the patches.
// Token i still gets row i of the positions, and the first token is dropped as if it were the class: so every patch has its
// neighbour's position, patch 0 is lost, and the class token is fed to the language model as the last patch.
import type { Sees } from "./greedy.ts";

/**
 * The same by weights and pixels of a tower whose class token stands first: what stands first and is dropped is patch 0;
 * patches 1 to n - 1 move up; in the last place nothing is seen, and its position holds the class token.
 */
export const classLast: Sees = async ({ config, vision }, pixels) => {
  const { imageSize, patchSize, hiddenSize } = config.vision;
  const side = imageSize / patchSize;
  const n = side ** 2;
  const [kernel, own, positions] = await Promise.all(
    ["patch.weight", "class", "position"].map((name) => vision.load(name)),
  );
  const moved = new Float32Array(pixels.length);
  const first = new Float32Array(hiddenSize);
  const at = (patch: number, channel: number, y: number, x: number): number =>
    (channel * imageSize + Math.floor(patch / side) * patchSize + y) * imageSize + (patch % side) * patchSize + x;
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < patchSize; y++) {
      for (let x = 0; x < patchSize; x++) {
        for (let patch = 1; patch < n; patch++) moved[at(patch - 1, channel, y, x)] = pixels[at(patch, channel, y, x)]!;
        const weight = (channel * patchSize + y) * patchSize + x;
        const value = pixels[at(0, channel, y, x)]!;
        for (let e = 0; e < hiddenSize; e++) first[e]! += kernel![e * 3 * patchSize ** 2 + weight]! * value;
      }
    }
  }
  const last = positions!.slice();
  for (let e = 0; e < hiddenSize; e++) last[n * hiddenSize + e]! += own![e]!;
  const changed: Readonly<Record<string, Float32Array>> = { class: first, position: last };
  return {
    pixels: moved,
    vision: { shapes: vision.shapes, load: async (name) => changed[name]?.slice() ?? vision.load(name) },
  };
};
