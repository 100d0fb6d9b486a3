// What a template makes of a conversation: control tokens, text and pictures in order, each learned or not.
import type { ChatTurn } from "./conversation.ts";

/**
 * A control token: by its spelling, or by its role. A leading "bos" stands for the BOS that a tokenizer adds by itself:
 * it is left out for tokenizers that add none.
 */
export type Control = "bos" | "eos" | { readonly token: string };

export type Segment =
  | { readonly kind: "control"; readonly control: Control; readonly learned: boolean }
  | { readonly kind: "text"; readonly text: string; readonly learned: boolean }
  | { readonly kind: "image" };

/** Any way of writing a conversation. */
export interface Template {
  readonly name: string;
  /** the control tokens that a tokenizer must have */
  readonly controls: readonly Control[];
  /**
   * Writes turns that end with the assistant (checked by the caller). Learned are the answers and the token that ends
   * each, nothing else; every answer begins a new segment, so what stands before it is the prompt.
   */
  segments(turns: readonly ChatTurn[]): Segment[];
}
