// What a run would do, before it does it: sums, seconds and memory of every stage. Writes nothing.
import type { Engine } from "../runtime/engine.ts";
import { assemble } from "./assemble.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import { optimisers } from "./optimisers/registry.ts";
import { predictSeconds } from "./predict-seconds.ts";
import type { Recipe } from "./recipe.ts";
import { loadStages, type StageSums } from "./stage-data.ts";
import { machineBytes, planStage } from "./stage-plan.ts";

export interface StagePrediction {
  readonly stage: string;
  readonly sums: StageSums;
  readonly seconds: number;
  /** of the whole process at the stage's peak */
  readonly peak_bytes: number;
  readonly memory: MemoryPlan;
  readonly why: string;
}

/** Reads and checks everything as a run does, and times one step of each stage on small models of the same widths. */
export async function planRun(recipe: Recipe, engine: Engine): Promise<StagePrediction[]> {
  const assembly = await assemble(recipe);
  try {
    const { config } = assembly;
    const stages = await loadStages({ assembly, stages: recipe.stages });
    const predictions: StagePrediction[] = [];
    const before = process.memoryUsage.rss();
    for (const data of stages) {
      const { stage, sums } = data;
      const optimiser = optimisers[stage.optimizer].create(engine);
      const { memory, bytes, why, work } = planStage(data, { config, optimiser, total: machineBytes() });
      await optimiser.release?.();
      const seconds = await predictSeconds(engine, config, data, work);
      predictions.push({ stage: stage.name, sums, seconds, peak_bytes: before + bytes, memory, why });
    }
    return predictions;
  } finally {
    await assembly.close();
  }
}
