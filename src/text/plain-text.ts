// Plain text to ids: the library's pipeline, once for each place, without any knowledge of control tokens.
import * as huggingFace from "@huggingface/tokenizers";
import type { Json, TokenizerFacts } from "./tokenizer-files.ts";
import { rewriteNormalizer, rewritePreTokenizer, type TextPlace } from "./tokenizer-rewrite.ts";

/** The part of the library's class that is used here (its own type declarations don't resolve under nodenext). */
export interface Library {
  model: unknown;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
  id_to_token(id: number): string | undefined;
}
const Library = huggingFace.Tokenizer as unknown as new (tokenizerJson: Json, tokenizerConfig: Json) => Library;

/** The whole tokenizer, for decoding and as the owner of the model; BOS and EOS are ours to place. */
export function loadLibrary(json: Json, config: Json): Library {
  const { model, normalizer = null, decoder = null, added_tokens = [] } = json;
  return new Library({ model, normalizer, pre_tokenizer: null, decoder, post_processor: null, added_tokens }, config);
}

/** Ids of plain text at a place. */
export type PlainEncoder = (text: string, place: TextPlace) => number[];

/** Encoders that share `library`'s model. No id that they give is a control token's, except the unknown token's. */
export function createPlainEncoder(json: Json, facts: TokenizerFacts, library: Library): PlainEncoder {
  const encoderAt = (place: TextPlace): Library => {
    const encoder = new Library(
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        normalizer: rewriteNormalizer(json["normalizer"], place),
        pre_tokenizer: rewritePreTokenizer(json["pre_tokenizer"], place),
        post_processor: null,
        decoder: null,
        added_tokens: facts.textual,
      },
      {},
    );
    encoder.model = library.model;
    return encoder;
  };
  const encoders = { start: encoderAt("start"), afterControl: encoderAt("afterControl"), inText: encoderAt("inText") };
  const unk = facts.unk?.id;
  const controls = new Set([...facts.controls.values()].map((token) => token.id).filter((id) => id !== unk));
  const encode: PlainEncoder = (text, place) => {
    if (text.length === 0) return [];
    const { ids, tokens } = encoders[place].encode(text, { add_special_tokens: false });
    if (!ids.some((id) => controls.has(id))) return ids;
    // some vocabularies hold a control token as a word of its own: spell it out character by character
    return ids.flatMap((id, i) => {
      const characters = [...(tokens[i] ?? "")];
      if (!controls.has(id)) return [id];
      if (characters.length > 1) return characters.flatMap((character) => encode(character, "inText"));
      return unk === undefined ? [] : [unk];
    });
  };
  return encode;
}
