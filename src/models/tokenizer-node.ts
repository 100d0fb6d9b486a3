// A model folder's tokenizer files.
import { join } from "node:path";
import { readJsonFile, readTextFile } from "../formats/node.ts";
import { exists, optionalObject } from "./tensors-node.ts";

/** What a tokenizer is made of, as JSON. */
export interface TokenizerFiles {
  readonly where: string;
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  /** the model's own chat template (chat_template.jinja, else tokenizer_config.json's) */
  readonly chatTemplate?: string;
}

/** Reads tokenizer.json, tokenizer_config.json and the chat template. Throws `FILE_MISSING` and as `readJsonFile`. */
export async function readTokenizer(folder: string): Promise<TokenizerFiles> {
  const tokenizerConfig = (await optionalObject(join(folder, "tokenizer_config.json"))) ?? {};
  const file = join(folder, "chat_template.jinja");
  const inline = tokenizerConfig["chat_template"];
  const chatTemplate = (await exists(file))
    ? await readTextFile(file, { maxBytes: 1 << 20 })
    : typeof inline === "string"
      ? inline
      : undefined;
  return {
    where: folder,
    tokenizerJson: await readJsonFile(join(folder, "tokenizer.json")),
    tokenizerConfig,
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  };
}
