import { describe, expect, it } from "vitest";
import { KnownWords } from "./known-words.ts";

describe("KnownWords", () => {
  it("keeps words, and never more than so many", () => {
    const words = new KnownWords();
    words.put("dog", ["d", "og"]);
    expect(words.get("dog")).toEqual(["d", "og"]);
    expect(words.get("cat")).toBeUndefined();
    for (let i = 0; i < 100_000; i++) words.put(`word ${i}`, []);
    expect(words.get("dog")).toBeUndefined();
    expect(words.get("word 99999")).toEqual([]);
  });
});
