// One sample as token ids: what the model reads, what it learns, where pictures go.
import { InputError } from "../errors.ts";
import { turnsOf } from "../text/conversation.ts";
import { encodeConversation } from "../text/encode.ts";
import { expandImages, IGNORE_LABEL, type Expanded } from "../text/expand.ts";
import type { Template } from "../text/segments.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Sample } from "./sample.ts";

/** How conversations become ids. */
export interface Encoding {
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  /** how many places a picture takes among the tokens, by its path where they differ */
  readonly tokensPerImage: number | ((image: string) => number);
  /** the id that holds these places */
  readonly imageTokenId: number;
}

/** Ids, labels (not shifted, -100 where nothing is learned) and picture places of one sample. */
export interface EncodedSample extends Expanded {
  readonly id: string;
  /** relative to the images folder; `imageRuns[k].image` is an index into them */
  readonly images: readonly string[];
  /**
   * Where branches start (share.ts): each follows what stands before the first of them and knows nothing of the others.
   * Absent in what is one sample.
   */
  readonly branches?: readonly number[];
}

/**
 * Tokenises a sample and marks what is learned: the answers and the token that ends each.
 *
 * @throws InputError what the template and the tokenizer throw (`TEMPLATE_TURNS`, `CONVERSATION_ROLES`,
 *   `TEMPLATE_CONTROLS`), with the sample's file and line
 */
export function encodeSample(sample: Sample, encoding: Encoding): EncodedSample {
  const { tokenizer, template, tokensPerImage, imageTokenId } = encoding;
  try {
    const encoded = encodeConversation(tokenizer, template, turnsOf(sample.conversations, sample.images.length));
    const counts = sample.images.map(typeof tokensPerImage === "number" ? () => tokensPerImage : tokensPerImage);
    return { id: sample.id, images: sample.images, ...expandImages(encoded, counts, imageTokenId) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const inner = error.details.where === undefined ? "" : `, ${error.details.where}`;
    throw new InputError(error.code, { ...error.details, where: `${sample.where}${inner}`, cause: error });
  }
}

/** How many tokens are targets; a document's first token has nothing before it that could predict it. */
export function learnedTokens({ labels }: EncodedSample): number {
  let count = 0;
  for (let t = 1; t < labels.length; t++) if (labels[t] !== IGNORE_LABEL) count++;
  return count;
}
