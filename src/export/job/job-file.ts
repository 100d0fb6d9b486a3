// job.json: what a handed-over job holds, as train.py reads it and `llava job import` checks it.
import { z } from "zod";
import { loraTargets } from "../../models/lora.ts";

/** The file that makes a folder a job. */
export const jobFile = "job.json";
/** Raised when train.py of an older job could not read a newer one. */
export const JOB_FORMAT = 1;
/** How far PyTorch's loss on a first batch may lie from ours. */
export const LOSS_TOLERANCE = 1e-4;

const count = z.number().int().nonnegative();
/** of a file below the job's folder */
const inside = z.string().regex(/^[A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9][\w.-]*)*$/, "a path inside the job");
const part = z.enum(["vision", "projector", "language"]);

const lora = z.object({
  rank: z.number().int().positive(),
  alpha: z.number().positive(),
  targets: z.array(z.enum([...loraTargets.language, ...loraTargets.projector])).min(1),
  /** the parts that it adds to: their own weights stay */
  parts: z.array(z.enum(["projector", "language"])).min(1),
  /** a folder in PEFT's format with the factors that it starts from */
  start: inside,
});

const stage = z.object({
  name: z.string(),
  /** safetensors: ids, labels, starts, pictures, picture_starts, order, rates */
  tokens: inside,
  train: z.array(part).min(1),
  /** an adapter that trains in place of the weights of its parts */
  lora: lora.optional(),
  steps: count,
  batch_size: count,
  learning_rates: z.partialRecord(part, z.number()),
  weight_decay: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  epsilon: z.number(),
  max_grad_norm: z.number(),
  checkpoint_every: count,
  keep: count,
  seed: count,
  /** the mean over the trained tokens of the first step's samples, by our engine, before anything is trained */
  expected_loss: z.number(),
});

const card = z.object({
  bases: z.array(z.object({ part: z.string(), name: z.string(), licence: z.string().optional() })),
  stages: z.array(
    z.object({
      name: z.string(),
      train: z.array(z.string()),
      data: z.array(z.string()),
      length: z.string(),
      learningRate: z.string(),
    }),
  ),
});

export const jobSchema = z.object({
  format: z.literal(JOB_FORMAT),
  name: z.string(),
  checkpoint: inside,
  tolerance: z.number(),
  image_token_id: count,
  /** places of a picture among the tokens */
  picture_tokens: count,
  pictures: z.object({
    /** safetensors with `pixels` [pictures, height, width, 3], bytes */
    files: z.array(inside),
    per_file: count,
    /** safetensors with `values` [3, 256]: what each channel's bytes stand for */
    values: inside,
    size: z.tuple([count, count]),
  }),
  stages: z.array(stage).min(1),
  card,
});

export type Job = z.output<typeof jobSchema>;
export type JobStage = Job["stages"][number];
