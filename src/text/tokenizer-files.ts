// What tokenizer.json and tokenizer_config.json say: ids, control tokens, the named tokens, whether BOS is added.
import { InputError } from "../errors.ts";

export type Json = { readonly [key: string]: unknown };

/** A token with an id of its own that text never produces, e.g. `</s>`. */
export interface NamedToken {
  readonly token: string;
  readonly id: number;
}

/** An entry of tokenizer.json's `added_tokens`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** The facts of both files that this project relies on. */
export interface TokenizerFacts {
  /** largest id plus one */
  readonly vocabSize: number;
  /** tokens that structure a conversation; text never becomes one of them */
  readonly controls: ReadonlyMap<string, AddedToken>;
  /** added tokens that stand for ordinary text, e.g. runs of spaces: recognised in plain text */
  readonly textual: readonly AddedToken[];
  readonly bos: NamedToken | undefined;
  readonly eos: NamedToken | undefined;
  readonly unk: NamedToken | undefined;
  readonly pad: NamedToken | undefined;
  readonly addsBos: boolean;
  /** the one control id that text may get: what the model gives for what it does not know */
  readonly unknownId: number | undefined;
}

const mostIds = 1 << 22;
const mostAdded = 1 << 16;
const longestControl = 512;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Checks both files and gathers their facts. Throws `TOKENIZER_INVALID` naming the field. */
export function readTokenizerFiles(tokenizerJson: unknown, tokenizerConfig: unknown, where: string): TokenizerFacts {
  if (!isObject(tokenizerJson)) throw invalid(where, "a JSON object", describe(tokenizerJson));
  if (!isObject(tokenizerConfig))
    throw invalid(`${where}: tokenizer_config.json`, "a JSON object", describe(tokenizerConfig));
  const ids = readVocabulary(tokenizerJson, where);
  const added = readAddedTokens(tokenizerJson, where);
  for (const token of added) ids.set(token.content, token.id);

  const named = (value: unknown): NamedToken | undefined => {
    const token = isObject(value) ? value["content"] : value;
    const id = typeof token === "string" ? ids.get(token) : undefined;
    return typeof token === "string" && id !== undefined ? { token, id } : undefined;
  };
  const { bos_token, eos_token, pad_token } = tokenizerConfig;
  const [bos, eos, pad] = [named(bos_token), named(eos_token), named(pad_token)];
  const unknown = named(unknownOf(tokenizerJson));
  const unk = named(tokenizerConfig["unk_token"]) ?? unknown;

  const controls = new Map<string, AddedToken>();
  for (const token of added) if (token.special || looksLikeMarker(token.content)) controls.set(token.content, token);
  for (const token of [bos, eos, unk, pad]) {
    if (token === undefined || controls.has(token.token)) continue;
    controls.set(token.token, { id: token.id, content: token.token, special: true, lstrip: false, rstrip: false });
  }
  let vocabSize = 0;
  for (const id of ids.values()) vocabSize = Math.max(vocabSize, id + 1);
  return {
    vocabSize,
    controls,
    textual: added.filter((token) => !controls.has(token.content)),
    bos,
    eos,
    unk,
    pad,
    unknownId: unknown?.id,
    addsBos: bos !== undefined && readAddsBos(tokenizerJson, tokenizerConfig, bos.token),
  };
}

/** Added tokens that are not marked special, yet can only be meant as structure: `<tool_call>`, `[IMG]`. */
export function looksLikeMarker(content: string): boolean {
  return /^(<\S+>|\[\S+\])$/u.test(content);
}

function readVocabulary(json: Json, where: string): Map<string, number> {
  const model = json["model"];
  if (!isObject(model)) throw invalid(`${where}: model`, "an object", describe(model));
  const vocab = model["vocab"];
  const ids = new Map<string, number>();
  if (Array.isArray(vocab)) {
    if (vocab.length > mostIds)
      throw invalid(`${where}: model.vocab`, `at most ${mostIds} pieces`, String(vocab.length));
    for (const [id, piece] of vocab.entries()) {
      if (!Array.isArray(piece) || typeof piece[0] !== "string" || typeof piece[1] !== "number") {
        throw invalid(`${where}: model.vocab[${id}]`, "a pair of piece and score", describe(piece));
      }
      ids.set(piece[0], id);
    }
  } else if (isObject(vocab)) {
    for (const [token, id] of Object.entries(vocab))
      ids.set(token, checkId(id, `${where}: model.vocab[${JSON.stringify(token)}]`));
  } else {
    throw invalid(`${where}: model.vocab`, "an object of ids or a list of pieces", describe(vocab));
  }
  if (ids.size === 0) throw invalid(`${where}: model.vocab`, "at least one token", "none");
  const merges = model["merges"];
  if (merges !== undefined && !Array.isArray(merges))
    throw invalid(`${where}: model.merges`, "a list", describe(merges));
  return ids;
}

function readAddedTokens(json: Json, where: string): AddedToken[] {
  const added = json["added_tokens"] ?? [];
  if (!Array.isArray(added)) throw invalid(`${where}: added_tokens`, "a list", describe(added));
  if (added.length > mostAdded)
    throw invalid(`${where}: added_tokens`, `at most ${mostAdded} tokens`, String(added.length));
  return added.map((token: unknown, i) => {
    const at = `${where}: added_tokens[${i}]`;
    if (!isObject(token)) throw invalid(at, "an object", describe(token));
    const { content, id, special, lstrip, rstrip } = token;
    if (typeof content !== "string" || content.length === 0 || content.length > longestControl) {
      throw invalid(`${at}.content`, `a string of 1 to ${longestControl} characters`, describe(content));
    }
    return {
      id: checkId(id, `${at}.id`),
      content,
      special: special === true,
      lstrip: lstrip === true,
      rstrip: rstrip === true,
    };
  });
}

/** The model's unknown token: by name, or in Unigram models by index. */
function unknownOf(json: Json): unknown {
  const model = isObject(json["model"]) ? json["model"] : {};
  if (typeof model["unk_id"] !== "number" || !Array.isArray(model["vocab"])) return model["unk_token"];
  const piece: unknown = model["vocab"][model["unk_id"]];
  return Array.isArray(piece) ? piece[0] : undefined;
}

/** `add_bos_token` where it is said, else what the post-processor puts before the text. */
function readAddsBos(json: Json, config: Json, bos: string): boolean {
  if (typeof config["add_bos_token"] === "boolean") return config["add_bos_token"];
  const startsWithBos = (processor: unknown): boolean => {
    if (!isObject(processor)) return false;
    const { type, processors, single, cls } = processor;
    if (type === "Sequence") return Array.isArray(processors) && processors.some(startsWithBos);
    if (type === "TemplateProcessing") {
      const first: unknown = Array.isArray(single) ? single[0] : undefined;
      const token = isObject(first) ? first["SpecialToken"] : undefined;
      return isObject(token) && token["id"] === bos;
    }
    return Array.isArray(cls) && cls[0] === bos;
  };
  return startsWithBos(json["post_processor"]);
}

function checkId(id: unknown, where: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < mostIds) return id;
  throw invalid(where, `a whole number from 0 to ${mostIds - 1}`, describe(id));
}

export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : JSON.stringify(value).slice(0, 80);
}

function invalid(where: string, expected: string, got: string): InputError {
  return new InputError("TOKENIZER_INVALID", {
    expected,
    got,
    where,
    fix: "use the tokenizer files that came with the model",
  });
}
