// The templates that we ship, as data: what stands before and after the system message, the question and the answer.
import type { Control } from "./segments.ts";

/** Text (a string) or a control token. */
export type Piece = string | { readonly control: Control };

/** How one template writes a conversation. */
export interface Layout {
  /** before everything */
  readonly start: readonly Piece[];
  /** the system message when the conversation brings none; "" for no system message */
  readonly system: string;
  /** around the system message; nothing is written when the message is empty */
  readonly aroundSystem: readonly [before: readonly Piece[], after: readonly Piece[]];
  /** true when the system message stands inside the first question's frame */
  readonly systemInQuestion: boolean;
  /** before every question but the first */
  readonly between: readonly Piece[];
  readonly aroundQuestion: readonly [before: readonly Piece[], after: readonly Piece[]];
  /** opens the answer; the prompt ends here */
  readonly openAnswer: readonly Piece[];
  /** learned text around the answer: a space belongs to the answer's first token */
  readonly aroundAnswer: readonly [before: string, after: string];
  /** the learned token that ends the turn */
  readonly endAnswer: Control;
  /** after the end token, not learned */
  readonly afterAnswer: readonly Piece[];
}

const vicunaSystem =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

const llama2System =
  "You are a helpful language and vision assistant. " +
  "You are able to understand the visual content that the user provides, " +
  "and assist the user with a variety of tasks using natural language.";

const bos: Piece = { control: "bos" };
const imStart: Piece = { control: { token: "<|im_start|>" } };
const imEnd: Control = { token: "<|im_end|>" };

/** `<s>sys USER: q ASSISTANT: a</s>USER: …`: LLaVA-1.5 (llava/conversation.py, `conv_vicuna_v1`). */
const vicunaV1: Layout = {
  start: [bos],
  system: vicunaSystem,
  aroundSystem: [[], [" "]],
  systemInQuestion: false,
  between: [],
  aroundQuestion: [["USER: "], [" "]],
  openAnswer: ["ASSISTANT:"],
  aroundAnswer: [" ", ""],
  endAnswer: "eos",
  afterAnswer: [],
};

/** `<s>[INST] <<SYS>>\nsys\n<</SYS>>\n\nq [/INST] a </s><s>[INST] …`: `conv_llava_llama_2`. */
const llavaLlama2: Layout = {
  start: [bos],
  system: llama2System,
  aroundSystem: [["<<SYS>>\n"], ["\n<</SYS>>\n\n"]],
  systemInQuestion: true,
  between: [bos],
  aroundQuestion: [["[INST] "], [" [/INST]"]],
  openAnswer: [],
  aroundAnswer: [" ", " "],
  endAnswer: "eos",
  afterAnswer: [],
};

/** `<s>[INST] q [/INST] a </s>[INST] …`: `conv_mistral_instruct`; a system message leads the first question. */
const mistral: Layout = { ...llavaLlama2, system: "", aroundSystem: [[], ["\n\n"]], between: [] };

/**
 * `<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n`: ChatML as SmolLM2 and Qwen2 write it, without
 * their default system message.
 */
const chatml: Layout = {
  start: [bos],
  system: "",
  aroundSystem: [
    [imStart, "system\n"],
    [{ control: imEnd }, "\n"],
  ],
  systemInQuestion: false,
  between: [],
  aroundQuestion: [
    [imStart, "user\n"],
    [{ control: imEnd }, "\n"],
  ],
  openAnswer: [imStart, "assistant\n"],
  aroundAnswer: ["", ""],
  endAnswer: imEnd,
  afterAnswer: ["\n"],
};

/** ChatML without newlines between turns: LLaVA's `mpt` and `chatml_direct`. */
const chatmlDirect: Layout = {
  ...chatml,
  system: "Answer the questions.",
  aroundSystem: [[imStart, "system\n"], [{ control: imEnd }]],
  aroundQuestion: [[imStart, "user\n"], [{ control: imEnd }]],
  afterAnswer: [],
};

export const layouts = {
  vicuna_v1: vicunaV1,
  llava_llama_2: llavaLlama2,
  mistral,
  chatml,
  chatml_direct: chatmlDirect,
} as const satisfies Record<string, Layout>;
