// Which memory plan a stage's steps follow, and what they will take: decided from shapes before anything is loaded.
import { totalmem } from "node:os";
import { languageShapes } from "../models/llama.ts";
import { loraShapes } from "../models/lora.ts";
import { projectorShapes } from "../models/projector.ts";
import { neededWeights, visionShapes } from "../models/vision.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { Shape } from "../graph/tensor.ts";
import { adapterOf } from "./adapted-part.ts";
import { roomFor } from "./batches.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import type { Optimiser } from "./optimisers/optimiser.ts";
import type { PartForm } from "./parameters.ts";
import { type PartMemory, predictBytes, type StageMemory } from "./predict-memory.ts";
import type { Part, StageRecipe } from "./recipe.ts";
import type { StageData } from "./stage-data.ts";
import { isWhole, sizesOf, stageWork, type StepWork } from "./stage-work.ts";

export interface PlannedStage {
  readonly memory: MemoryPlan;
  /** buffers for the largest micro-batch of training and of evaluation */
  readonly room: StageMemory["room"];
  /** at the peak, besides what the process holds before the stage */
  readonly bytes: number;
  /** for people: why this plan and no other */
  readonly why: string;
  readonly work: readonly StepWork[];
}

export interface PlanOptions {
  readonly config: LlavaConfig;
  readonly optimiser: Optimiser;
  /** of the machine, or of what the process may have of it: free memory would make a resumed run choose otherwise */
  readonly total: number;
}

/** How much of the memory a stage may take: the rest is the process's own, the prediction's error and everyone else's. */
const share = 0.7;

/** The memory of this machine, or of the container that the process runs in. */
export function machineBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** Keeps activations where they fit, and lays gradients over them where every step is one micro-batch. */
export function planStage(data: StageData, options: PlanOptions): PlannedStage {
  const work = stageWork(data);
  const stage = stageMemory(data, options, work);
  const weights = stage.form.trains === "weights";
  const whole = isWhole(work, data.plan.steps);
  const shared = weights && whole;
  const gradients = !weights
    ? "no gradients of layers"
    : shared
      ? "every step is one micro-batch, so gradients lie where activations lay"
      : "gradients of several micro-batches are summed in memory of their own";
  const plans = (["keep", "recompute"] as const).map((activations) => {
    const memory = { activations, shared };
    return { memory, bytes: predictBytes(stage, memory) };
  });
  const [keep, recompute] = plans as [(typeof plans)[0], (typeof plans)[0]];
  const { room } = stage;
  const most = share * options.total;
  const mb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  if (keep.bytes <= most) return { ...keep, room, work, why: `activations fit; ${gradients}` };
  const fits = recompute.bytes <= most ? "are computed again" : "are computed again, and even so it may not fit";
  return {
    ...recompute,
    room,
    work,
    why: `${mb(keep.bytes)} of ${mb(options.total)} in all: activations ${fits}; ${gradients}`,
  };
}

function stageMemory({ stage, ...data }: StageData, options: PlanOptions, work: readonly StepWork[]): StageMemory {
  const { config } = options;
  const optimiser = options.optimiser;
  const language = partMemory("language", languageShapes(config.language), stage, optimiser);
  const projector = partMemory("projector", projectorShapes(config), stage, optimiser);
  return {
    config,
    language: language.memory,
    others: [projector.memory, ...(stage.train.includes("vision") ? [tower(config, optimiser)] : [])],
    room: roomFor([data.layout, ...(data.heldOut ? [data.heldOut.layout] : [])]),
    sizes: sizesOf(work),
    sums: work.some(({ rows }) => rows.length > 1),
    form: language.form,
  };
}

function tower({ vision, features }: LlavaConfig, optimiser: Optimiser): PartMemory {
  const needed = new Set(neededWeights(vision, features));
  const shapes = new Map([...visionShapes(vision)].filter(([name]) => needed.has(name)));
  return { shapes, trains: "weights", optimiser };
}

function partMemory(
  part: Exclude<Part, "vision">,
  shapes: ReadonlyMap<string, Shape>,
  stage: StageRecipe,
  optimiser: Optimiser,
): { memory: PartMemory; form: PartForm } {
  const lora = adapterOf(part, stage);
  const blocks = part === "language" && stage.quantize === "4bit";
  const form: PartForm =
    lora !== undefined ? { trains: "adapter", lora } : { trains: stage.train.includes(part) ? "weights" : "nothing" };
  // an adapter is small: its factors are counted as weights that stay as they are
  const all = lora === undefined ? shapes : new Map([...shapes, ...loraShapes(shapes, lora)]);
  return { memory: { shapes: all, trains: form.trains, optimiser, blocks }, form };
}
