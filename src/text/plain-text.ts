// Plain text to ids: the library's pipeline, once for each place, without any knowledge of control tokens.
import * as huggingFace from "@huggingface/tokenizers";
import { KnownWords } from "./known-words.ts";
import type { Json, TokenizerFacts } from "./tokenizer-files.ts";
import { rewriteNormalizer, rewritePreTokenizer, type TextPlace } from "./tokenizer-rewrite.ts";

/** The part of the library's class that is used here (its own type declarations don't resolve under nodenext). */
export interface Library {
  model: { cache?: unknown };
  readonly decoder: DecoderNode | null;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[]; tokens: string[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
  id_to_token(id: number): string | undefined;
}
interface DecoderNode {
  text_decoder?: unknown;
  readonly decoders?: readonly DecoderNode[];
}
const Library = huggingFace.Tokenizer as unknown as new (tokenizerJson: Json, tokenizerConfig: Json) => Library;

/** The whole tokenizer, for decoding and as the owner of the model; BOS and EOS are ours to place. */
export function loadLibrary(json: Json, facts: TokenizerFacts): Library {
  const { model, normalizer = null, decoder = null, added_tokens = [] } = json;
  const library = new Library(
    { model, normalizer, pre_tokenizer: null, decoder, post_processor: null, added_tokens },
    { unk_token: facts.unk?.token, eos_token: facts.eos?.token },
  );
  keepByteOrderMarks(library.decoder);
  if (library.model.cache !== undefined) library.model.cache = new KnownWords();
  return library;
}

/** The library's byte fallback decodes as if U+FEFF were a file's mark and drops it; as text it is a character. */
function keepByteOrderMarks(decoder: DecoderNode | null): void {
  if (decoder?.text_decoder !== undefined) decoder.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  decoder?.decoders?.forEach(keepByteOrderMarks);
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
  const unk = facts.unknownId;
  const controls = new Set([...facts.controls.values()].map((token) => token.id).filter((id) => id !== unk));
  const encode: PlainEncoder = (text, place) => {
    if (text.length === 0) return [];
    const { ids, tokens } = encoders[place].encode(text, { add_special_tokens: false });
    if (!ids.some((id) => id === undefined || controls.has(id))) return ids as number[];
    // some vocabularies hold a control token as a word of its own: spell it out character by character
    return ids.flatMap((id, i) => {
      const characters = [...(tokens[i] ?? "")];
      // a model without an unknown token has no id for what it does not know
      if (id === undefined) return [];
      if (!controls.has(id)) return [id];
      if (characters.length > 1) return characters.flatMap((character) => encode(character, "inText"));
      return unk === undefined ? [] : [unk];
    });
  };
  return encode;
}
