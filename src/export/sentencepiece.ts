// SentencePiece's tokenizer.model (its sentencepiece_model.proto) → tokenizer.json, for BPE models with bytes to fall back on.
import { InputError } from "../errors.ts";
import { type ProtoField, readProto } from "../formats/protobuf.ts";
import type { TokenizerFiles } from "../models/node.ts";

/** sentencepiece_model.proto, ModelProto.SentencePiece.Type */
const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4 } as const;
const BPE = 2;
const MOST_PIECES = 1 << 20;

interface Piece {
  readonly text: string;
  readonly score: number;
  readonly kind: number;
}

/** The files of a tokenizer; `config` is tokenizer_config.json. Throws `TOKENIZER_INVALID` for other kinds of models. */
export function sentencePieceFiles(
  bytes: Uint8Array,
  config: Readonly<Record<string, unknown>>,
  where: string,
): TokenizerFiles {
  const fail = (expected: string, got: string): never => {
    throw new InputError("TOKENIZER_INVALID", { expected, got, where, fix: "name a folder with tokenizer.json" });
  };
  const fields = [...readProto(bytes)];
  const pieces = messages(fields, 1)
    .slice(0, MOST_PIECES + 1)
    .map(readPiece);
  if (pieces.length === 0 || pieces.length > MOST_PIECES) fail(`1 to ${MOST_PIECES} pieces`, String(pieces.length));
  const trainer = messages(fields, 2)[0];
  const type = Number((trainer && valueOf(trainer, 3)) ?? 1n);
  const fallback = pieces.some(({ text }) => text === "<0x0A>");
  if (type !== BPE || !fallback)
    fail("a BPE model with byte pieces", type === BPE ? "one without" : `model type ${type}`);
  const normalizer = messages(fields, 3)[0];
  const prefix = ((normalizer && valueOf(normalizer, 3)) ?? 1n) !== 0n;
  const [bos, eos, unk] = [pieces[1]!.text, pieces[2]!.text, pieces[0]!.text];
  const named = { bos_token: bos, eos_token: eos, unk_token: unk, add_bos_token: true };
  return {
    where,
    tokenizerJson: tokenizerJson(pieces, prefix),
    tokenizerConfig: { ...named, ...plainTokens(config), tokenizer_class: "PreTrainedTokenizerFast" },
  };
}

/** Named tokens as text: some versions wrote them as objects. */
function plainTokens(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const plain = ([key, value]: [string, unknown]): [string, unknown] =>
    typeof value === "object" && value !== null && "content" in value ? [key, value.content] : [key, value];
  return Object.fromEntries(
    Object.entries(config)
      .filter(([, value]) => value !== null)
      .map(plain),
  );
}

function tokenizerJson(pieces: readonly Piece[], prefix: boolean): unknown {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const added = pieces.flatMap(({ text, kind }, id) =>
    kind === kinds.control || kind === kinds.unknown || kind === kinds.userDefined
      ? [{ id, content: text, ...flags, special: kind !== kinds.userDefined }]
      : [],
  );
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    ...textRules(pieces[1]!.text, prefix),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: pieces[0]!.text,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
      merges: mergesOf(pieces),
    },
  };
}

/** Spaces are "▁", one before every text; BOS leads. */
function textRules(bos: string, prefix: boolean): object {
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const first = { SpecialToken: { id: bos, type_id: 0 } };
  const sequence = (id: string, type: number): object => ({ Sequence: { id, type_id: type } });
  const back = { type: "Replace", pattern: { String: "▁" }, content: " " };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: { type: "Sequence", normalizers: [...(prefix ? [{ type: "Prepend", prepend: "▁" }] : []), replace] },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [first, sequence("A", 0)],
      pair: [first, sequence("A", 0), sequence("B", 1)],
      special_tokens: { [bos]: { id: bos, ids: [1], tokens: [bos] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [back, { type: "ByteFallback" }, { type: "Fuse" }, ...(prefix ? [strip] : [])],
    },
  };
}

/** Every pair of pieces that makes a piece, best result first; SentencePiece itself only knows the results. */
function mergesOf(pieces: readonly Piece[]): string[][] {
  const known = new Set(pieces.map(({ text }) => text));
  const made: { readonly pair: [string, string]; readonly score: number }[] = [];
  for (const { text, score, kind } of pieces) {
    if (kind !== kinds.normal) continue;
    const letters = [...text];
    for (let cut = 1; cut < letters.length; cut++) {
      const pair: [string, string] = [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
      if (known.has(pair[0]) && known.has(pair[1])) made.push({ pair, score });
    }
  }
  const longest = (a: string, b: string): number => b.length - a.length;
  return made
    .toSorted((a, b) => b.score - a.score || longest(a.pair[0], b.pair[0]) || longest(a.pair[1], b.pair[1]))
    .map(({ pair }) => pair);
}

const messages = (fields: readonly ProtoField[], field: number): Uint8Array[] =>
  fields.flatMap(({ field: n, value }) => (n === field && value instanceof Uint8Array ? [value] : []));

function valueOf(message: Uint8Array, field: number): bigint | undefined {
  for (const { field: n, value } of readProto(message)) if (n === field && typeof value === "bigint") return value;
  return undefined;
}

function readPiece(message: Uint8Array): Piece {
  let [text, score, kind] = ["", 0, kinds.normal as number];
  for (const { field, value } of readProto(message)) {
    if (field === 1 && value instanceof Uint8Array) text = new TextDecoder().decode(value);
    if (field === 2 && typeof value === "bigint") score = floatOf(value);
    if (field === 3 && typeof value === "bigint") kind = Number(value);
  }
  return { text, score, kind };
}

const floatOf = (bits: bigint): number => new Float32Array(Uint32Array.of(Number(bits)).buffer)[0]!;
