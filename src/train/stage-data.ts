// A stage's samples, checked and tokenised before step 0, with the sums that are shown.
import { createHash, type Hash } from "node:crypto";
import { checkSamples, type CheckProgress } from "../data/check.ts";
import type { EncodedSample } from "../data/encode.ts";
import { epochOrder } from "../data/order.ts";
import { InputError } from "../errors.ts";
import { tokensPerPicture } from "../models/config.ts";
import { templateFor } from "../models/template.ts";
import type { Assembly } from "./assemble.ts";
import { packStep, planSteps, rowLayout, type RowLayout, type StepPlan } from "./batches.ts";
import { pictureName, type PictureSource } from "./features.ts";
import type { DataSource, StageRecipe } from "./recipe.ts";

export interface StageSums {
  readonly pictures: number;
  readonly samples: number;
  /** of one epoch, picture places included */
  readonly tokens: number;
  readonly supervised_tokens: number;
  /** packed sequences of one epoch */
  readonly rows: number;
  readonly steps: number;
  readonly row_length: number;
}

export interface StageData {
  readonly stage: StageRecipe;
  /** pictures by their full names (features.ts) */
  readonly samples: readonly EncodedSample[];
  readonly pictures: readonly PictureSource[];
  readonly layout: RowLayout;
  readonly plan: StepPlan;
  readonly sums: StageSums;
  /** changes with anything that is trained on */
  readonly hash: string;
}

export interface StageDataOptions {
  readonly assembly: Pick<Assembly, "config" | "tokenizer" | "tokenizerFiles">;
  readonly stage: StageRecipe;
  readonly onProgress?: (progress: CheckProgress) => void;
}

/** Reads, checks and tokenises; throws what is wrong with the data before anything is computed. */
export async function loadStageData({ assembly, stage, onProgress }: StageDataOptions): Promise<StageData> {
  const { config, tokenizer, tokenizerFiles } = assembly;
  const template = templateFor(tokenizer, {
    name: stage.template ?? config.template,
    chatTemplate: tokenizerFiles.chatTemplate,
    where: tokenizerFiles.where,
  });
  const encoding = { tokenizer, template, tokensPerImage: tokensPerPicture(config), imageTokenId: config.imageTokenId };
  const longestRow = stage.row_length === "auto" ? config.language.maxPositions : stage.row_length;
  const pictures = new Map<string, PictureSource>();
  const samples: EncodedSample[] = [];
  for (const source of stage.data) {
    const checked = await checkSamples(source.path, {
      imagesRoot: source.images,
      encoding,
      maxTokens: longestRow,
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    checked.problems.refuse(source.path);
    for (const sample of chosen(checked.encoded, source, stage.seed)) {
      const places = sample.images.map((image) => ({ image, root: source.images }));
      for (const place of places) pictures.set(pictureName(place), place);
      samples.push({ ...sample, images: places.map(pictureName) });
    }
  }
  const used = stage.limit === undefined ? samples : pick(samples, stage.limit, stage.seed);
  if (used.length === 0)
    throw new InputError("DATA_EMPTY", { expected: "at least one sample", got: "none", where: `stage ${stage.name}` });
  return describe(stage, used, pictures);
}

function describe(
  stage: StageRecipe,
  samples: readonly EncodedSample[],
  pictures: ReadonlyMap<string, PictureSource>,
): StageData {
  const lengths = samples.map(({ ids }) => ids.length);
  const layout = rowLayout(
    lengths.reduce((most, n) => Math.max(most, n), 0),
    stage.row_length,
  );
  const plan = planSteps(samples.length, stage.batch_size, stage, stage.seed);
  const needed = new Set(samples.flatMap(({ images }) => images));
  const used = [...pictures].filter(([name]) => needed.has(name)).map(([, picture]) => picture);
  return {
    stage,
    samples,
    pictures: used,
    layout,
    plan,
    sums: {
      pictures: used.length,
      samples: samples.length,
      tokens: lengths.reduce((sum, n) => sum + n, 0),
      supervised_tokens: samples.reduce(
        (sum, { labels }) => sum + labels.reduce((n, label) => n + (label < 0 ? 0 : 1), 0),
        0,
      ),
      rows: epochRows(plan, lengths, layout),
      steps: plan.steps,
      row_length: layout.length,
    },
    hash: hashOf(samples),
  };
}

/** Rows of the first epoch, packed step by step as training does. */
function epochRows(plan: StepPlan, lengths: readonly number[], layout: RowLayout): number {
  let rows = 0;
  for (let step = 1; step <= Math.min(plan.stepsPerEpoch, plan.steps); step++) {
    rows += packStep(
      [...plan.samplesOf(step)].map((i) => lengths[i]!),
      layout,
    ).rows.length;
  }
  return rows;
}

/** A weight of 2 repeats every sample, 0.5 keeps every other one, chosen by the seed. */
function chosen(samples: readonly EncodedSample[], { weight, limit }: DataSource, seed: number): EncodedSample[] {
  const limited = limit === undefined ? samples : pick(samples, limit, seed);
  const whole = Array.from({ length: Math.floor(weight) }, () => limited).flat();
  return [...whole, ...pick(limited, Math.round((weight % 1) * limited.length), seed)];
}

function pick<T>(list: readonly T[], count: number, seed: number): T[] {
  if (count >= list.length) return [...list];
  return [...epochOrder(seed, 0, list.length).subarray(0, count)].toSorted((a, b) => a - b).map((i) => list[i]!);
}

function hashOf(samples: readonly EncodedSample[]): string {
  const hash: Hash = createHash("sha256");
  for (const { id, ids, labels, images } of samples) {
    hash
      .update(JSON.stringify([id, images]))
      .update(ids)
      .update(labels);
  }
  return hash.digest("hex");
}
