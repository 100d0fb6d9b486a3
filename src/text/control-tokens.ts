// Control tokens: finding them in trusted text, and appending new ones to a tokenizer's files.
import {
  type AddedToken,
  type Json,
  looksLikeMarker,
  type NamedToken,
  type TokenizerFacts,
} from "./tokenizer-files.ts";

/** Splits trusted text at control tokens, the longest match first; white space goes where a token strips it. */
export function createControlSplitter(
  controls: ReadonlyMap<string, AddedToken>,
): (text: string) => (string | NamedToken)[] {
  const spellings = [...controls.keys()].sort((a, b) => b.length - a.length);
  const escaped = spellings.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/gu, "\\$&"));
  const pattern = new RegExp(escaped.length === 0 ? "(?!)" : escaped.join("|"), "gu");
  return (text) => {
    const pieces: (string | NamedToken)[] = [];
    let end = 0;
    let before: AddedToken | undefined;
    const pushText = (stretch: string, after: AddedToken | undefined): void => {
      const left = before?.rstrip === true ? stretch.trimStart() : stretch;
      const piece = after?.lstrip === true ? left.trimEnd() : left;
      if (piece.length > 0) pieces.push(piece);
    };
    for (const match of text.matchAll(pattern)) {
      const token = controls.get(match[0]);
      if (token === undefined) continue;
      pushText(text.slice(end, match.index), token);
      pieces.push({ token: token.content, id: token.id });
      before = token;
      end = match.index + match[0].length;
    }
    pushText(text.slice(end), undefined);
    return pieces;
  };
}

/**
 * Both files with `tokens` added; tokens that exist keep their id, new ones follow the last id. Those that look like
 * markers (`<box>`, `[IMG]`) become special tokens, others words that are found in text.
 */
export function appendTokens(
  json: Json,
  config: Json,
  facts: TokenizerFacts,
  tokens: readonly string[],
): { json: Json; config: Json } {
  const markers = tokens.filter(looksLikeMarker);
  // transformers only finds special tokens inside text reliably when they are matched before normalisation
  const added = ((json["added_tokens"] ?? []) as Json[]).map((token) =>
    token["special"] === true || markers.includes(String(token["content"]))
      ? { ...token, special: true, normalized: false }
      : token,
  );
  let next = facts.vocabSize;
  for (const content of new Set(tokens)) {
    if (added.some((token) => token["content"] === content)) continue;
    const id = facts.controls.get(content)?.id ?? next++;
    const special = looksLikeMarker(content);
    added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special });
  }
  const known = config["additional_special_tokens"];
  return {
    json: { ...json, added_tokens: added },
    config: {
      ...config,
      // the generic class takes tokenizer.json as it is; others rebuild parts of it
      tokenizer_class: "PreTrainedTokenizerFast",
      added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [String(id), token])),
      additional_special_tokens: [...new Set([...(Array.isArray(known) ? known : []), ...markers])],
    },
  };
}
