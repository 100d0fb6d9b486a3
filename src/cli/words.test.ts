// Paths as people type, paste and drop them.
import fc from "fast-check";
import { expect, it } from "vitest";
import { splitWords } from "./words.ts";

it.each([
  ["/image a.jpg  b.jpg", ["/image", "a.jpg", "b.jpg"]],
  ["/image 'my photo.jpg'", ["/image", "my photo.jpg"]],
  ['/image "my photo.jpg"', ["/image", "my photo.jpg"]],
  ["/image my\\ photo\\(1\\).jpg", ["/image", "my photo(1).jpg"]],
  [`"it's" 'say "hi"'`, ["it's", 'say "hi"']],
  ['"a \\"b\\" c"', ['a "b" c']],
  ["a'b c'd", ["ab cd"]],
  ["'open end", ["open end"]],
  ["", []],
])("%s", (line, words) => expect(splitWords(line)).toEqual(words));

it("gives back any words that were quoted", () => {
  const word = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => !/[\\"]/.test(text));
  fc.assert(
    fc.property(fc.array(word), (words) => {
      expect(splitWords(words.map((each) => `"${each}"`).join(" "))).toEqual(words);
    }),
  );
});
