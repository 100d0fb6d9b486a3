// Sizes of files as options: 500MB, 2GB, 1GiB.
import { InvalidArgumentError } from "commander";

const units: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Bytes of a text like 2GB; throws commander's InvalidArgumentError. */
export function byteSize(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (units[unit?.toUpperCase() ?? ""] ?? Number.NaN));
  if (bytes >= 1) return bytes;
  throw new InvalidArgumentError("Expected a size like 500MB or 2GB.");
}
