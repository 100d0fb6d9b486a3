// Finds the orientation in an EXIF block.
import type { Orientation } from "./pixels.ts";

const orientationTag = 0x0112;
const shortType = 3;

/**
 * The orientation that an EXIF block (starting at its TIFF header) states in its first directory. Damaged or absent
 * metadata means upright: the pixels themselves are still good. Source: EXIF 2.32 §4.5 (CIPA DC-008).
 */
export function exifOrientation(tiff: DataView): Orientation {
  try {
    const little = tiff.getUint16(0) === 0x4949;
    if (!little && tiff.getUint16(0) !== 0x4d4d) return 1;
    const directory = tiff.getUint32(4, little);
    const entries = tiff.getUint16(directory, little);
    for (let i = 0, at = directory + 2; i < entries; i++, at += 12) {
      if (tiff.getUint16(at, little) !== orientationTag) continue;
      const value = tiff.getUint16(at + 8, little);
      const isKnown = tiff.getUint16(at + 2, little) === shortType && value >= 1 && value <= 8;
      return isKnown ? (value as Orientation) : 1;
    }
    return 1;
  } catch (error) {
    if (error instanceof RangeError) return 1;
    throw error;
  }
}
