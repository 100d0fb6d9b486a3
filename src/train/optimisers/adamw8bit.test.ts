// What 8-bit moments cost: bytes a weight, and which weights keep float32.
import { expect, it } from "vitest";
import { bytesPerElement, type Shape, sizeOf } from "../../graph/tensor.ts";
import { adamw8bit } from "./adamw8bit.ts";

const bytes = (shape: Shape): number =>
  Object.values(adamw8bit.state("any", shape)).reduce(
    (sum, of) => sum + sizeOf(of.shape) * bytesPerElement[of.dtype],
    0,
  );

it("keeps two bytes a weight and a 32nd more, but eight of small weights", () => {
  expect(bytes([1536, 576]) / (1536 * 576)).toBeCloseTo(2 + 8 / 256, 6);
  expect(bytes([576]) / 576).toBe(8);
  expect(bytes([63, 65]) / (63 * 65)).toBe(8);
});
