// What is asked of the generator and what it gives: ids in, ids out.
import type { Sampler } from "./sampling.ts";

/** A picture as the language model takes it. */
export interface PictureTokens {
  /** equal for equal features: a hash of the picture's bytes */
  readonly key: string;
  /** projected features [M, E] */
  readonly rows: Float32Array;
}

/** Token ids, some of whose places are taken by pictures. */
export interface Prompt {
  readonly ids: ArrayLike<number>;
  /** `count` tokens of a picture from position `start` on, whatever ids stand there */
  readonly pictures?: readonly { readonly start: number; readonly count: number; readonly picture: PictureTokens }[];
  /** prompts share what is cached of them only where this is equal, so that nobody learns what others have asked */
  readonly salt?: string | undefined;
}

export const lengthOf = ({ ids }: Prompt): number => ids.length;

export type FinishReason = "stop" | "length" | "interrupted";

export interface GenerationRequest {
  readonly prompt: Prompt;
  readonly maxNewTokens: number;
  /** ids that end the answer; the one met is the answer's last id */
  readonly stopIds: readonly number[];
  readonly sample: Sampler;
  /** told of each id as it is chosen; true ends the answer there */
  readonly onToken?: ((id: number) => boolean | void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Generation {
  readonly ids: number[];
  readonly finishReason: FinishReason;
  /** tokens of the prompt, pictures expanded */
  readonly promptTokens: number;
  /** how many of them were cached */
  readonly cachedTokens: number;
}
