// Every key that a recipe may hold, with its meaning and default; docs/recipe.schema.json is made from it.
import { z } from "zod";
import { taskNames } from "../data/task-names.ts";
import { loraTargets } from "../models/lora.ts";
import { templates } from "../text/templates.ts";
import { optimiserNames, optimisers } from "./optimisers/registry.ts";

/** The parts of a model that a stage can train; while the vision encoder is frozen, its features are computed once. */
const partNames = ["vision", "projector", "language"] as const;

const positive = z.number().positive();
const fraction = z.number().min(0).max(1);
const count = z.int().positive();
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "letters, digits, '.', '_' and '-'");
const path = z.string().min(1);
const template = z
  .enum(["model", ...Object.keys(templates)])
  .describe("Chat template; model: the language model's own.");

const vision = z
  .strictObject({
    path: path.describe("Folder of the vision encoder (CLIP, SigLIP or ViT in Hugging Face's layout)."),
    layer: z
      .union([z.int(), z.array(z.int()).min(1).max(64)])
      .default(-2)
      .describe(
        "Which hidden state is used: -1 the last layer's, -2 the one before, …; a list puts several side by side.",
      ),
    tokens: z
      .enum(["patch", "cls_patch"])
      .default("patch")
      .describe("patch: one feature per patch; cls_patch: the class token too."),
    fit: z
      .enum(["crop", "pad", "stretch"])
      .optional()
      .describe("How a picture becomes a square: default as the encoder's preprocessor_config.json says."),
    tiles: z
      .strictObject({ max: z.int().min(2).max(36).describe("Most tiles of a picture.") })
      .optional()
      .describe(
        "Shows pictures larger than the encoder's input whole and in tiles (LLaVA-NeXT): more detail, more tokens.",
      ),
  })
  .describe("The eyes: frozen unless a stage trains them.");

const projector = z
  .strictObject({
    kind: z
      .enum(["mlp2x_gelu", "linear"])
      .default("mlp2x_gelu")
      .describe("Two linears with a GELU between (LLaVA-1.5), or one linear (LLaVA)."),
    pixel_shuffle: count
      .max(16)
      .default(1)
      .describe("Joins n×n neighbouring patches into one picture token: 2 makes 196 patches 49 tokens."),
  })
  .describe("Vision features → language embeddings.");

const newTokens = z
  .array(z.string().min(1).max(100))
  .optional()
  .describe(
    "Tokens that the tokenizer lacks, with embedding rows of their own that start at the mean of the others: <marker>s for templates, others as words of the text.",
  );

const newModel = z.strictObject({
  vision,
  projector: projector.optional(),
  language: z
    .strictObject({ path: path.describe("Folder of the language model in Hugging Face's layout, or a .gguf file.") })
    .describe("The language model."),
  template: template.optional(),
  new_tokens: newTokens,
});

const continuedModel = z.strictObject({
  path: path.describe("Folder of a model made before: training goes on from it."),
  template: template.optional(),
  new_tokens: newTokens,
});

const dataSource = z.strictObject({
  path: path.describe("Samples as LLaVA's JSON (a list, or one sample per line)."),
  images: path.optional().describe("Folder that the samples' pictures are relative to: default the stage's images."),
  weight: positive.default(1).describe("How often each sample is seen in an epoch: 2 twice, 0.5 every other one."),
  limit: count.optional().describe("Use only so many samples, chosen by the seed."),
  mirror: z
    .boolean()
    .default(false)
    .describe(
      "Train each sample also with its picture flipped left to right, and left and right in its text swapped; samples whose text can't be flipped safely are left as they are.",
    ),
});

const picturedFile = {
  path: path.describe("The file."),
  images: path.optional().describe("Folder of its pictures: default the stage's images, else the file's folder."),
};

const evaluate = z
  .strictObject({
    every: z
      .int()
      .min(0)
      .default(200)
      .describe("Steps between evaluations; one more at the stage's end. 0: only there."),
    held_out: z
      .union([
        positive.refine((n) => n < 1 || Number.isInteger(n), "a whole number of pictures, or a share below 1"),
        path,
        z.strictObject(picturedFile),
      ])
      .optional()
      .describe(
        "Samples for the held-out loss: how many of the stage's pictures (or, below 1, which share of them) no stage trains on; or a file of samples.",
      ),
    questions: z
      .union([
        path,
        z.strictObject({
          ...picturedFile,
          task: z
            .enum(taskNames)
            .default("pope")
            .describe("How they are read and scored, as in llava eval: any task that needs no judge."),
          limit: count.optional().describe("Ask only the first so many."),
        }),
      ])
      .optional()
      .describe("A file of questions that the model is asked and scored on, each time."),
    answers: z
      .int()
      .min(0)
      .optional()
      .describe("How many held-out questions are answered each time, to look at: default 3 when samples are held out."),
    best: z
      .enum(["loss", "score"])
      .optional()
      .describe("What is compared: default loss when samples are held out, else score."),
    stop_after: count
      .optional()
      .describe("Ends the stage after so many evaluations in a row that are no better than the best."),
    keep: z
      .enum(["last", "best"])
      .optional()
      .describe(
        "Which weights the stage leaves: of its last step, or of its best evaluation. Default last; best with stop_after.",
      ),
  })
  .describe("Looks at the model while it trains; the numbers of the training stay the same.");

const rates = z.partialRecord(z.enum(partNames), positive);

const lora = z
  .strictObject({
    rank: count.max(4096).default(16).describe("Inner size of the adapters."),
    alpha: positive.optional().describe("Adapters are scaled by alpha / rank: default twice the rank."),
    targets: z
      .union([z.literal("all"), z.array(z.enum([...loraTargets.language, ...loraTargets.projector])).min(1)])
      .default("all")
      .describe("Linear layers by PEFT's names; all: those of the language model."),
  })
  .describe("Trains low-rank adapters (LoRA) of these layers; the weights of their parts stay as they are.");

const stage = z.strictObject({
  name: fileName.describe("What the stage is called in logs, metrics and --set, e.g. align."),
  data: z
    .union([path, z.array(z.union([path, dataSource])).min(1)])
    .describe("One file of samples, or several, each with its weight or as its path alone."),
  images: path.optional().describe("Folder of the pictures: default the folder of each data file."),
  train: z
    .array(z.enum(partNames))
    .min(1)
    .describe("The parts that learn; the others stay frozen. With vision every picture goes through the encoder anew."),
  lora: lora.optional(),
  quantize: z
    .enum(["4bit"])
    .optional()
    .describe("Keeps the language model's matrices in 4 bits (with lora: QLoRA); they must not be trained themselves."),
  batch_size: count.default(16).describe("Samples per optimiser step."),
  learning_rate: z
    .union([positive, rates])
    .optional()
    .describe("One rate, or one per trained part: default 1e-3 for a projector alone, else 1e-4, and 2e-5 for vision."),
  epochs: positive.optional().describe("Passes over the data: default 1. Not together with steps."),
  steps: count.optional().describe("Optimiser steps. Not together with epochs."),
  template: template.optional(),
  schedule: z
    .enum(["cosine", "linear", "constant"])
    .default("cosine")
    .describe("How the learning rate falls after the warm-up."),
  warmup: fraction.default(0.03).describe("Share of the steps in which the learning rate rises from zero."),
  optimizer: z
    .enum(optimiserNames)
    .default("adamw")
    .describe(
      `How weights follow gradients: ${optimiserNames.map((name) => `${name} (${optimisers[name].about})`).join(", ")}.`,
    ),
  weight_decay: z
    .number()
    .min(0)
    .default(0)
    .describe("Decoupled weight decay (matrices only: none on biases and norms)."),
  betas: z.tuple([fraction, fraction]).default([0.9, 0.999]).describe("AdamW's decay of the first and second moments."),
  epsilon: positive.default(1e-8).describe("AdamW's term against division by zero."),
  max_grad_norm: z.number().min(0).default(1).describe("Gradients are scaled down to this norm; 0 leaves them."),
  row_length: z
    .union([z.literal("auto"), count])
    .default("auto")
    .describe("Tokens per packed row: auto fits the data."),
  share_pictures: count
    .max(64)
    .default(1)
    .describe(
      "Up to so many samples about the same pictures come in one step and are read behind a single copy of them: fewer tokens, the same gradients. 1: each has its own copy.",
    ),
  limit: count.optional().describe("Use only so many samples, chosen by the seed."),
  checkpoint_every: z.int().min(0).default(200).describe("Steps between checkpoints; 0: only at the stage's end."),
  keep: count.default(2).describe("Checkpoints kept: an older one goes once a newer one was read back whole."),
  on_nan: z
    .enum(["stop", "skip"])
    .default("stop")
    .describe("A loss or gradient that is not finite: end with an error, or leave the step out (10 in a row at most)."),
  evaluate: evaluate.optional(),
  seed: z.int().min(0).optional().describe("Order of the samples: default the recipe's seed."),
});

/** A recipe as written by its author. */
export const recipeSchema = z
  .strictObject({
    name: fileName.describe("What the run is called."),
    model: z.union([newModel, continuedModel]).describe("Two base models to join, or a model to go on from."),
    stages: z.array(stage).min(1).describe("Training phases, in order: LLaVA's are align and instruct."),
    output: path.optional().describe("Folder of the run: default runs/NAME."),
    seed: z.int().min(0).default(0).describe("Decides new weights and the order of samples."),
    cache: path
      .optional()
      .describe(
        "Folder of what is computed once (vision features, samples as tokens): default .cache beside the output folder.",
      ),
  })
  .describe("A llava training recipe. Relative paths start at the folder that llava is called in.");

export type RecipeInput = z.output<typeof recipeSchema>;
export type StageInput = RecipeInput["stages"][number];
