// A stage's samples, checked and tokenised before step 0, with the sums that are shown.
import { createHash, type Hash } from "node:crypto";
import type { CheckProgress } from "../data/check.ts";
import type { EncodedSample } from "../data/encode.ts";
import { epochOrder } from "../data/order.ts";
import { sharedKeys, sharedOrder } from "../data/share.ts";
import { InputError } from "../errors.ts";
import { type Arrange, documentsOf, packStep, planSteps, rowLayout, type RowLayout, type StepPlan } from "./batches.ts";
import type { PictureSource } from "./features.ts";
import { type DividedStage, type HeldOut, holdOut } from "./held-out.ts";
import type { DataSource, StageRecipe } from "./recipe.ts";
import { type ReadStage, readStage, type TextParts } from "./stage-samples.ts";

export interface StageSums {
  readonly pictures: number;
  readonly samples: number;
  /** how many of them have flipped pictures */
  readonly mirrored: number;
  /** of one epoch, picture places included */
  readonly tokens: number;
  readonly supervised_tokens: number;
  /** packed sequences of one epoch */
  readonly rows: number;
  readonly steps: number;
  readonly row_length: number;
  /** samples of an epoch that are read behind one copy of their pictures, where the stage says share_pictures */
  readonly sharing?: number;
  /** of `tokens`: what this leaves out */
  readonly tokens_saved?: number;
  /** samples that the stage is evaluated on and not trained on */
  readonly held_out: number;
}

export interface StageData {
  readonly stage: StageRecipe;
  /** pictures by their full names (features.ts) */
  readonly samples: readonly EncodedSample[];
  /** of all samples, held-out ones too */
  readonly pictures: readonly PictureSource[];
  readonly layout: RowLayout;
  readonly plan: StepPlan;
  readonly heldOut?: HeldOut;
  readonly sums: StageSums;
  /** changes with any token, label or picture's name that is trained or evaluated on */
  readonly hash: string;
}

export interface StagesOptions {
  readonly assembly: TextParts;
  readonly stages: readonly StageRecipe[];
  /** folder that remembers what was read and checked; without it nothing is */
  readonly cache?: string;
  readonly onProgress?: (stage: StageRecipe, progress: CheckProgress) => void;
}

/** Reads, checks and tokenises all stages; throws what is wrong with the data before anything is computed. */
export async function loadStages({ assembly, stages, cache, onProgress }: StagesOptions): Promise<StageData[]> {
  const read: ReadStage[] = [];
  for (const stage of stages) {
    read.push(await readStage(assembly, stage, { cache, onProgress: (progress) => onProgress?.(stage, progress) }));
  }
  return holdOut(read).map((divided, i) => chooseSamples(read[i]!, divided));
}

/** The samples of an epoch, as weights and limits say, each with its mirror image beside it where it has one. */
function chooseSamples(read: ReadStage, { training, heldOut }: DividedStage): StageData {
  const { stage, mirrored } = read;
  const samples = training
    .flatMap((each, i) => chosen(each, stage.data[i]!, stage.seed))
    .flatMap((sample) => [sample, mirrored.get(sample) ?? []].flat());
  const used = stage.limit === undefined ? samples : pick(samples, stage.limit, stage.seed);
  if (used.length === 0)
    throw new InputError("DATA_EMPTY", { expected: "at least one sample", got: "none", where: `stage ${stage.name}` });
  return describe(read, used, heldOut);
}

function describe(
  { stage, pictures }: ReadStage,
  samples: readonly EncodedSample[],
  heldOut: HeldOut | undefined,
): StageData {
  const evaluated = heldOut?.samples ?? [];
  const lengths = samples.map(({ ids }) => ids.length);
  const layout = rowLayout(
    lengths.reduce((most, n) => Math.max(most, n), 0),
    stage.row_length,
    stage.share_pictures,
  );
  const plan = planSteps(samples.length, stage.batch_size, stage, stage.seed, arrangeFor(stage, samples));
  const shown = new Set(samples.flatMap(({ images }) => images));
  const needed = new Set([...shown, ...evaluated.flatMap(({ images }) => images)]);
  const used = [...pictures].filter(([name]) => needed.has(name)).map(([, picture]) => picture);
  return {
    stage,
    samples,
    pictures: used,
    layout,
    plan,
    ...(heldOut && { heldOut }),
    sums: {
      pictures: [...shown].filter((name) => (pictures.get(name)!.view?.index ?? 0) === 0).length,
      samples: samples.length,
      mirrored: samples.filter(({ images: [first] }) => pictures.get(first ?? "")?.mirrored).length,
      tokens: lengths.reduce((sum, n) => sum + n, 0),
      supervised_tokens: samples.reduce((sum, { labels }) => sum + trainedTokens(labels), 0),
      ...epochSums(plan, samples, layout),
      steps: plan.steps,
      row_length: layout.length,
      held_out: evaluated.length,
    },
    hash: hashOf([...samples, ...evaluated]),
  };
}

function trainedTokens(labels: Int32Array): number {
  let count = 0;
  // a loop: a call for each of 50 million labels takes as long as reading them
  for (let t = 0; t < labels.length; t++) if (labels[t]! >= 0) count++;
  return count;
}

/** Samples about the same pictures come together where they share them. */
function arrangeFor(stage: StageRecipe, samples: readonly EncodedSample[]): Arrange | undefined {
  const { share_pictures: most, batch_size: batchSize } = stage;
  if (most === undefined) return undefined;
  const keys = sharedKeys(samples);
  return (order, start) => sharedOrder(order, keys, { most, batchSize, start });
}

/** Of the first epoch, joined and packed step by step as training does. */
function epochSums(
  plan: StepPlan,
  samples: readonly EncodedSample[],
  layout: RowLayout,
): Pick<StageSums, "rows" | "sharing" | "tokens_saved"> {
  let [rows, sharing, saved] = [0, 0, 0];
  for (let step = 1; step <= Math.min(plan.stepsPerEpoch, plan.steps); step++) {
    const chosen = Array.from(plan.samplesOf(step), (i) => samples[i]!);
    const documents = documentsOf(chosen, layout);
    const lengths = documents.map(({ ids }) => ids.length);
    rows += packStep(lengths, layout).rows.length;
    sharing += documents.reduce((sum, { branches = [] }) => sum + branches.length, 0);
    saved += chosen.reduce((sum, { ids }) => sum + ids.length, 0) - lengths.reduce((sum, n) => sum + n, 0);
  }
  return { rows, ...(layout.share !== undefined && { sharing, tokens_saved: saved }) };
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
    // the folder does not count: it may be mounted elsewhere tomorrow
    const names = images.map((image) => image.slice(image.indexOf("\n") + 1));
    hash
      .update(JSON.stringify([id, names]))
      .update(ids)
      .update(labels);
  }
  return hash.digest("hex");
}
