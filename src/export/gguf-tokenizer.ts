// tokenizer.json → GGUF's tokenizer keys (github.com/ggml-org/ggml, docs/gguf.md, "Tokenizer").
import type { GgufField } from "../formats/gguf-write.ts";
import type { TokenizerFiles } from "../models/node.ts";
import { isObject, type Json, readTokenizerFiles, type TokenizerFacts } from "../text/tokenizer-files.ts";
import { unsupported } from "./unsupported.ts";

/** llama.cpp's token types. */
const types = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Below every score that a merge gives: what no merge makes is not to be made. */
const UNMADE = -1e6;

/**
 * Keys of a byte-level or a SentencePiece-like BPE tokenizer; `vocabSize` is the rows of the embedding.
 * Throws `EXPORT_UNSUPPORTED` for other kinds, and for splitting rules that llama.cpp does not name.
 */
export function tokenizerFields(
  files: TokenizerFiles,
  vocabSize: number,
  endIds: readonly number[],
): Map<string, GgufField> {
  const facts = readTokenizerFiles(files.tokenizerJson, files.tokenizerConfig, files.where);
  const json = files.tokenizerJson as Json;
  const model = isObject(json["model"]) ? json["model"] : {};
  if (model["type"] !== "BPE") {
    const fix = "export it with --to hf or --to onnx";
    unsupported(
      files.where,
      "a BPE tokenizer, as llama.cpp can't take others from tokenizer.json",
      String(model["type"]),
      fix,
    );
  }
  const merges = (model["merges"] as (string | readonly [string, string])[]).map((merge) =>
    typeof merge === "string" ? merge : merge.join(" "),
  );
  const { tokens, kinds } = vocabulary(model["vocab"] as Record<string, number>, facts, vocabSize);
  const fields = new Map<string, GgufField>();
  if (model["byte_fallback"] === true) {
    fields.set("tokenizer.ggml.model", text("llama"));
    fields.set("tokenizer.ggml.scores", { type: "float32", value: scoresOf(tokens, merges) });
    fields.set("tokenizer.ggml.add_space_prefix", { type: "bool", value: prefixesSpace(json) });
  } else {
    fields.set("tokenizer.ggml.model", text("gpt2"));
    fields.set("tokenizer.ggml.pre", text(splittingRule(json, files.where)));
    fields.set("tokenizer.ggml.merges", { type: "string", value: merges });
  }
  fields.set("tokenizer.ggml.tokens", { type: "string", value: tokens });
  fields.set("tokenizer.ggml.token_type", { type: "int32", value: kinds });
  addNamed(fields, facts, endIds);
  if (files.chatTemplate !== undefined) fields.set("tokenizer.chat_template", text(files.chatTemplate));
  return fields;
}

const text = (value: string): GgufField => ({ type: "string", value });

function addNamed(fields: Map<string, GgufField>, facts: TokenizerFacts, endIds: readonly number[]): void {
  const { bos, unk, pad, addsBos } = facts;
  const [eos = facts.eos?.id, eot] = endIds;
  const ids = { bos: bos?.id, eos, eot, unknown: unk?.id, padding: pad?.id };
  for (const [name, id] of Object.entries(ids)) {
    if (id !== undefined) fields.set(`tokenizer.ggml.${name}_token_id`, { type: "uint32", value: id });
  }
  fields.set("tokenizer.ggml.add_bos_token", { type: "bool", value: addsBos });
  fields.set("tokenizer.ggml.add_eos_token", { type: "bool", value: false });
}

/** Every row of the embedding has a token: rows beyond the vocabulary are unused. */
function vocabulary(
  vocab: Readonly<Record<string, number>>,
  facts: TokenizerFacts,
  size: number,
): { readonly tokens: string[]; readonly kinds: number[] } {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const kinds: number[] = Array.from({ length: size }, () => types.unused);
  const put = (token: string, id: number, kind: number): void => {
    if (id >= size) return;
    tokens[id] = token;
    kinds[id] = kind;
  };
  for (const [token, id] of Object.entries(vocab)) {
    put(token, id, /^<0x[0-9A-F]{2}>$/.test(token) ? types.byte : types.normal);
  }
  for (const { content, id } of facts.textual) put(content, id, types.userDefined);
  for (const { content, id } of facts.controls.values()) put(content, id, types.control);
  if (facts.unk !== undefined) put(facts.unk.token, facts.unk.id, types.unknown);
  return { tokens, kinds };
}

/** llama.cpp joins the pair whose result has the highest score: earlier merges score higher. */
function scoresOf(tokens: readonly string[], merges: readonly string[]): number[] {
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const made = merge.replace(" ", "");
    if (!ranks.has(made)) ranks.set(made, rank);
  }
  return tokens.map((token) => {
    const rank = ranks.get(token);
    return rank === undefined ? UNMADE : -rank;
  });
}

/** The parts of a normalizer or pre-tokenizer, whether it is a sequence or one alone. */
function partsOf(value: unknown, list: string): Json[] {
  if (!isObject(value)) return [];
  return value["type"] === "Sequence" ? ((value[list] ?? []) as Json[]) : [value];
}

function prefixesSpace(json: Json): boolean {
  return (
    partsOf(json["normalizer"], "normalizers").some(({ type }) => type === "Prepend") ||
    partsOf(json["pre_tokenizer"], "pretokenizers").some(
      (part) =>
        part["type"] === "Metaspace" && part["prepend_scheme"] !== "never" && part["add_prefix_space"] !== false,
    )
  );
}

const words = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+`;
const rest = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
/** llama.cpp's names (llama-vocab.cpp) of splitting expressions. */
const expressions: Readonly<Record<string, string>> = {
  [String.raw`${words}|\p{N}|${rest}`]: "qwen2",
  [String.raw`${words}|\p{N}{1,3}|${rest}`]: "llama-bpe",
};

/** llama.cpp's name of how text is cut before merges apply. */
function splittingRule(json: Json, where: string): string {
  const parts = partsOf(json["pre_tokenizer"], "pretokenizers");
  const kinds = parts.map(({ type }) => String(type)).join(" ");
  const last = parts.at(-1);
  if (kinds === "ByteLevel" && last?.["use_regex"] !== false) return "gpt-2";
  if (kinds === "Digits ByteLevel" && parts[0]!["individual_digits"] === true && last?.["use_regex"] !== false) {
    return "smollm";
  }
  const pattern = kinds === "Split ByteLevel" ? (parts[0]!["pattern"] as Json | undefined) : undefined;
  const name = expressions[String(pattern?.["Regex"])];
  if (name !== undefined) return name;
  const expected = `a way of cutting text that llama.cpp has a name for (gpt-2, smollm, ${Object.values(expressions).join(", ")})`;
  return unsupported(where, expected, kinds || "none", "export it with --to hf or --to onnx");
}
