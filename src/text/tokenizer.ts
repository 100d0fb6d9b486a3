// A model's tokenizer: plain text to ids and back, with control tokens kept strictly apart from text.
import { InputError } from "../errors.ts";
import { appendTokens, createControlSplitter } from "./control-tokens.ts";
import { createPlainEncoder, loadLibrary, type Library, type PlainEncoder } from "./plain-text.ts";
import { createDecodingStream, type DecodingStream } from "./stream.ts";
import { readTokenizerFiles, type Json, type NamedToken } from "./tokenizer-files.ts";
import type { TextPlace } from "./tokenizer-rewrite.ts";

export interface DecodeOptions {
  /** leave control tokens out of the text; false by default */
  readonly skipControl?: boolean;
}

/** A tokenizer with tokens appended, and the files that describe it. */
export interface AddedTokenizer {
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: Json;
  readonly tokenizerConfig: Json;
}

/** Text to ids and back. Text never becomes a control token; control tokens come only from `controlId`. */
export interface Tokenizer {
  /** largest id plus one */
  readonly vocabSize: number;
  readonly bos: NamedToken | undefined;
  readonly eos: NamedToken | undefined;
  readonly unk: NamedToken | undefined;
  readonly pad: NamedToken | undefined;
  /** true when the model expects BOS before every text */
  readonly addsBos: boolean;
  /**
   * Ids of plain text, without BOS or EOS. Control tokens typed in it (`</s>`, `<image>`) are split into ordinary
   * pieces. `place` decides about the prefix space of SentencePiece-style tokenizers; "start" by default.
   */
  encode(text: string, place?: TextPlace): number[];
  /** id of a control token, e.g. `<|im_end|>`; undefined when the tokenizer has no such control token */
  controlId(token: string): number | undefined;
  /** Splits TRUSTED text (a template's own words) at the control tokens written in it. */
  splitControls(text: string): (string | NamedToken)[];
  /** Text of ids; ids that no token has are left out. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** Decodes id by id; what it emits, joined, equals `decode` of all ids. */
  stream(options?: DecodeOptions): DecodingStream;
  /**
   * The same tokenizer with tokens appended (those it has already keep their id), and the files to save. Those that
   * look like markers (`<box>`, `[IMG]`) become control tokens, others words that text becomes.
   */
  withAdded(tokens: readonly string[]): AddedTokenizer;
}

export interface TokenizerOptions {
  /** parsed tokenizer.json */
  readonly tokenizerJson: unknown;
  /** parsed tokenizer_config.json; `{}` when there is none */
  readonly tokenizerConfig: unknown;
  /** the file's name, for errors */
  readonly where: string;
}

/**
 * Reads a tokenizer from its parsed files. tokenizer.json is the law: a text between two control tokens gets the ids
 * that Hugging Face's `tokenizers` gives it when control tokens are matched before normalisation (`normalized: false`).
 * Throws `TOKENIZER_INVALID`. A hostile file can hold a pattern that backtracks for long: load untrusted models in a
 * worker that can be ended.
 */
export function createTokenizer({ tokenizerJson, tokenizerConfig, where }: TokenizerOptions): Tokenizer {
  const facts = readTokenizerFiles(tokenizerJson, tokenizerConfig, where);
  const [json, config] = [tokenizerJson as Json, tokenizerConfig as Json];
  let library: Library;
  let encodePlain: PlainEncoder;
  try {
    library = loadLibrary(json, facts);
    encodePlain = createPlainEncoder(json, facts, library);
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new InputError("TOKENIZER_INVALID", { expected: "a tokenizer.json that can be used", got, where, cause });
  }

  const { vocabSize, bos, eos, unk, pad, addsBos, controls } = facts;
  const controlIds = new Set([...controls.values()].map((token) => token.id));
  const decode = (ids: Iterable<number>, { skipControl = false }: DecodeOptions = {}): string => {
    const shown = [...ids].filter(
      (id) => library.id_to_token(id) !== undefined && !(skipControl && controlIds.has(id)),
    );
    return shown.length === 0 ? "" : library.decode(shown, { clean_up_tokenization_spaces: false });
  };
  return {
    vocabSize,
    bos,
    eos,
    unk,
    pad,
    addsBos,
    encode: (text, place = "start") => encodePlain(text, place),
    controlId: (token) => controls.get(token)?.id,
    splitControls: createControlSplitter(controls),
    decode,
    stream: (options = {}) => createDecodingStream((ids) => decode(ids, options)),
    withAdded(tokens) {
      const files = appendTokens(json, config, facts, tokens);
      const added = { tokenizerJson: files.json, tokenizerConfig: files.config };
      return { tokenizer: createTokenizer({ ...added, where }), ...added };
    },
  };
}
