// Sizes as people write them.
import { expect, it } from "vitest";
import { byteSize } from "./sizes.ts";

it.each([
  ["5GB", 5e9],
  ["1.5 GiB", 1.5 * 2 ** 30],
  ["200kb", 200_000],
  ["7", 7],
])("%s", (text, bytes) => expect(byteSize(text)).toBe(bytes));

it.each(["", "GB", "-1GB", "0", "5 apples", "1e9"])("refuses %j", (text) => {
  expect(() => byteSize(text)).toThrow("size like");
});
