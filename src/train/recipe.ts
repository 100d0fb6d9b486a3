// A recipe as training reads it: what to join, what to train on, every default filled in.
import { stringify } from "yaml";
import type { TaskName } from "../data/task-names.ts";
import type { OptimiserName } from "./optimisers/registry.ts";
import type { Lora } from "../models/lora.ts";

/** A part of the model that a stage can train. */
export type Part = "vision" | "projector" | "language";
export type Schedule = "cosine" | "linear" | "constant";

/** A file of samples with the folder of its pictures; both relative to the current folder. */
export interface DataSource {
  readonly path: string;
  readonly images: string;
  /** how often each sample is seen in an epoch */
  readonly weight: number;
  readonly limit?: number;
  /** each sample also with its pictures flipped left to right, where that leaves its text true */
  readonly mirror: boolean;
}

/** A file of samples, or of a task's questions, with the folder of its pictures. */
export interface PicturedFile {
  readonly path: string;
  readonly images: string;
}

export interface QuestionsRecipe extends PicturedFile {
  /** one that needs no judge */
  readonly task: TaskName;
  /** ask the first so many only */
  readonly limit?: number;
}

/** How a stage is evaluated while it trains, fully resolved: on held-out samples, on questions, or on both. */
export interface EvaluateRecipe {
  /** steps between evaluations; 0: only at the stage's end, where it is always evaluated */
  readonly every: number;
  /** a number of the stage's pictures, a share of them (below 1), or samples of their own */
  readonly held_out?: number | PicturedFile;
  readonly questions?: QuestionsRecipe;
  /** how many questions of held-out samples are answered each time, to be looked at */
  readonly answers: number;
  /** what makes an evaluation better than another: a lower held-out loss or a higher score */
  readonly best: "loss" | "score";
  /** the stage ends after so many evaluations in a row that are no better than the best */
  readonly stop_after?: number;
  /** which weights the stage leaves: those of its last step or of its best evaluation */
  readonly keep: "last" | "best";
}

/** One training phase, fully resolved. Exactly one of `epochs` and `steps` is set. */
export interface StageRecipe {
  readonly name: string;
  readonly data: readonly DataSource[];
  readonly train: readonly Part[];
  /** trains adapters of these layers in place of the weights of their parts */
  readonly lora?: Lora;
  /** keeps the language model's matrices in 4-bit blocks; its own weights do not learn */
  readonly quantize?: "4bit";
  /** samples per optimiser step */
  readonly batch_size: number;
  /** a rate for every part in `train`, and for no other */
  readonly learning_rate: Readonly<Partial<Record<Part, number>>>;
  readonly epochs?: number;
  readonly steps?: number;
  /** the stage's own, else the model's; absent: training decides from the language model */
  readonly template?: string;
  readonly schedule: Schedule;
  /** share of the steps, 0–1 */
  readonly warmup: number;
  readonly optimizer: OptimiserName;
  readonly weight_decay: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** 0: no clipping */
  readonly max_grad_norm: number;
  readonly row_length: number | "auto";
  /** so many samples about the same pictures at most are read behind one copy of them; absent: each has its own */
  readonly share_pictures?: number;
  readonly limit?: number;
  /** 0: only at the stage's end */
  readonly checkpoint_every: number;
  /** checkpoints that stay */
  readonly keep: number;
  /** what a loss or gradient that is not finite does */
  readonly on_nan: "stop" | "skip";
  readonly evaluate?: EvaluateRecipe;
  readonly seed: number;
}

/** Two base models to join by a fresh projector. */
export interface NewModel {
  readonly vision: {
    readonly path: string;
    /** several are put side by side */
    readonly layer: number | readonly number[];
    readonly tokens: "patch" | "cls_patch";
    /** absent: as the encoder's preprocessor says */
    readonly fit?: "crop" | "pad" | "stretch";
    /** absent: pictures are seen whole */
    readonly tiles?: { readonly max: number };
  };
  readonly projector: { readonly kind: "mlp2x_gelu" | "linear"; readonly pixel_shuffle: number };
  readonly language: { readonly path: string };
  readonly template?: string;
  readonly new_tokens?: readonly string[];
}

/** A model directory to go on from. */
export interface ContinuedModel {
  readonly path: string;
  readonly template?: string;
  readonly new_tokens?: readonly string[];
}

export interface Recipe {
  readonly name: string;
  readonly model: NewModel | ContinuedModel;
  readonly stages: readonly StageRecipe[];
  /** run directory */
  readonly output: string;
  readonly seed: number;
  /** folder of what is computed once: vision features, samples as tokens, which pictures are whole */
  readonly cache: string;
}

/** The recipe as YAML that reads back as the same recipe. */
export function formatRecipe(recipe: Recipe): string {
  return stringify(recipe, { lineWidth: 120, aliasDuplicateObjects: false });
}
