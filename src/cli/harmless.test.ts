// Nothing that a terminal would obey comes through, whatever the text.
import fc from "fast-check";
import { expect, it } from "vitest";
import { harmless, harmlessJson } from "./harmless.ts";

// every control character but line feed and tab
// oxlint-disable-next-line no-control-regex
const obeyed = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u2028-\u202E\u2066-\u2069]/;
const text = fc.string({ unit: "binary" });

it("lets no control character through, in whatever pieces the text comes", () => {
  fc.assert(
    fc.property(text, fc.nat(), (whole, at) => {
      const cut = whole.length === 0 ? 0 : at % whole.length;
      // halves of a pair would not arrive apart: answers stream whole characters
      fc.pre(!/[\uDC00-\uDFFF]/.test(whole.charAt(cut)));
      expect(harmless(whole)).not.toMatch(obeyed);
      expect(harmless(whole.slice(0, cut)) + harmless(whole.slice(cut))).toBe(harmless(whole));
    }),
  );
});

it("keeps what is only written", () => {
  const kept = "Zürich\t狗 👩‍👧 \u200Fשלום\n`x`";
  expect(harmless(kept)).toBe(kept);
  expect(harmless("a\u001B[2Jb\u009B1mc\u202Ed\r\ne\u2028f")).toBe("a\uFFFD[2Jb\uFFFD1mc\uFFFDd\ne\nf");
});

it("escapes in JSON without changing what it says", () => {
  fc.assert(
    fc.property(text, (value) => {
      const json = harmlessJson(JSON.stringify({ value }));
      expect(JSON.parse(json)).toEqual({ value });
      // oxlint-disable-next-line no-control-regex
      expect(json).not.toMatch(/[\u0000-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/);
    }),
  );
});
