// Rewrites tokenizer.json so that @huggingface/tokenizers splits text exactly as the Rust library does, at each place.
import { isObject, type Json } from "./tokenizer-files.ts";

/**
 * Where a text stands, which decides about a prefix space: at the start of everything, after a control token or a
 * picture, or in the middle of running text (where nothing may be put before it).
 */
export type TextPlace = "start" | "afterControl" | "inText";

/** The normalizer without the prefix that does not belong at `place`. */
export function rewriteNormalizer(node: unknown, place: TextPlace): unknown {
  if (!isObject(node)) return null;
  if (node["type"] === "Prepend") return place === "inText" ? null : node;
  if (node["type"] !== "Sequence" || !Array.isArray(node["normalizers"])) return node;
  const normalizers = node["normalizers"]
    .map((child) => rewriteNormalizer(child, place))
    .filter((child) => child !== null);
  return { ...node, normalizers };
}

/** The pre-tokenizer for `place`, with the parts that the JavaScript library does otherwise spelled out as patterns. */
export function rewritePreTokenizer(node: unknown, place: TextPlace): unknown {
  if (!isObject(node)) return null;
  switch (node["type"]) {
    case "Sequence": {
      const children = Array.isArray(node["pretokenizers"]) ? node["pretokenizers"] : [];
      return sequence(children.map((child) => rewritePreTokenizer(child, place)));
    }
    case "Metaspace":
      return rewriteMetaspace(node, place);
    case "ByteLevel":
      return rewriteByteLevel(node, place);
    case "Digits":
      // the library's \d is ASCII; Rust's is_numeric is every number of Unicode (², ½, ٣)
      return match(node["individual_digits"] === true ? "[^\\p{N}]+|\\p{N}" : "[^\\p{N}]+|\\p{N}+");
    case "Whitespace":
      // \w and \s as Unicode has them, not ASCII's
      return match(`[${word}]+|[^${word}\\s]+`);
    case "WhitespaceSplit":
      return match("\\S+");
    case "Split":
      return rewriteSplit(node);
    default:
      return node;
  }
}

/** `first` means the first text of all; older files say add_prefix_space; by default words are split apart. */
function rewriteMetaspace(node: Json, place: TextPlace): Json {
  const scheme = node["prepend_scheme"] ?? (node["add_prefix_space"] === false ? "never" : "always");
  const never = place === "inText" || (place === "afterControl" && scheme === "first");
  const metaspace = { ...node, prepend_scheme: never ? "never" : scheme };
  if (node["split"] === false) return metaspace;
  const mark = escapeRegex(typeof node["replacement"] === "string" ? node["replacement"] : "▁");
  return sequence([metaspace, match(`${mark}(?:(?!${mark})[\\s\\S])*|(?:(?!${mark})[\\s\\S])+`)]);
}

/** what \w means to the Rust library */
const word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D";

// GPT-2's pattern; as a Split its \s means Unicode's White_Space as in Rust, not JavaScript's
const byteLevelPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

function rewriteByteLevel(node: Json, place: TextPlace): Json {
  const prefix = node["add_prefix_space"] === true && place !== "inText";
  const byteLevel = { ...node, add_prefix_space: prefix };
  // with a prefix space the pattern has to see the prefixed text: the library's own order
  if (prefix || node["use_regex"] === false) return byteLevel;
  return sequence([match(byteLevelPattern), { ...byteLevel, use_regex: false }]);
}

/** The behaviours that the library lacks, as patterns that match each piece. */
function rewriteSplit(node: Json): Json {
  const behavior = String(node["behavior"]).toLowerCase();
  const pattern = isObject(node["pattern"]) ? node["pattern"] : {};
  const regex = pattern["Regex"];
  const literal = pattern["String"];
  const source = typeof regex === "string" ? regex : typeof literal === "string" ? escapeRegex(literal) : undefined;
  if (source === undefined || node["invert"] === true) return node;
  const between = `(?:(?!(?:${source}))[\\s\\S])`;
  if (behavior === "mergedwithprevious") return match(`${between}*(?:${source})|${between}+`);
  if (behavior === "mergedwithnext") return match(`(?:${source})${between}*|${between}+`);
  if (behavior === "contiguous") return match(`(?:${source})+|${between}+`);
  return node;
}

/** A pre-tokenizer whose pieces are the matches of `regex` (Oniguruma syntax). */
function match(regex: string): Json {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Removed", invert: true };
}

function sequence(pretokenizers: readonly unknown[]): Json {
  return { type: "Sequence", pretokenizers: pretokenizers.filter((node) => node !== null) };
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/gu, "\\$&");
}
