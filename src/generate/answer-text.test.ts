// An answer's text does not depend on how it arrives, and never shows what turns out not to belong to it.
import fc from "fast-check";
import { expect, it } from "vitest";
import { collectText } from "./answer-text.ts";

/** A stream whose ids are indices of pieces. */
function collect(pieces: readonly string[], endTexts: readonly string[]) {
  const shown: string[] = [];
  const text = collectText(
    { push: (id) => pieces[id]!, end: () => "" },
    { endTexts, onText: (fresh) => shown.push(fresh) },
  );
  const stoppedAt = pieces.findIndex((_, id) => text.push(id));
  return { text: text.end(), shown: shown.join(""), stoppedAt };
}

it("is the text up to the first end text, without white space around it", () => {
  const pieces = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "#", " ", "\n", "é"), maxLength: 4 }));
  fc.assert(
    fc.property(pieces, fc.subarray(["##", "a#b", "\n"]), (parts, endTexts) => {
      const whole = parts.join("").trimStart();
      const cuts = endTexts.map((end) => whole.indexOf(end)).filter((at) => at >= 0);
      const expected = whole.slice(0, cuts.length === 0 ? whole.length : Math.min(...cuts)).trimEnd();
      const { text, shown, stoppedAt } = collect(parts, endTexts);
      expect(text).toBe(expected);
      expect(shown).toBe(expected);
      expect(stoppedAt >= 0).toBe(cuts.length > 0);
    }),
    { numRuns: 500 },
  );
});

it("holds back what may become an end text, and gives it when it does not", () => {
  const shown: string[] = [];
  const pieces = ["x#", "#", "y#"];
  const text = collectText(
    { push: (id) => pieces[id]!, end: () => "" },
    { endTexts: ["###"], onText: (fresh) => shown.push(fresh) },
  );
  for (const id of pieces.keys()) text.push(id);
  expect(shown).toEqual(["x", "##y"]);
  expect(text.end()).toBe("x##y#");
  expect(shown).toEqual(["x", "##y", "#"]);
});
