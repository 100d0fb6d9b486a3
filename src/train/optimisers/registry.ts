// Every optimiser by the name that a recipe calls it: a new one is a file in this folder and a row here.
import type { Engine } from "../../runtime/engine.ts";
import { adamw } from "./adamw.ts";
import { adamw8bit } from "./adamw8bit.ts";
import { createMuon } from "./muon.ts";
import type { Optimiser } from "./optimiser.ts";

interface Row {
  /** for people, in one line */
  readonly about: string;
  /** one stage's own */
  readonly create: (engine: Engine) => Optimiser;
}

export const optimisers = {
  adamw: { about: "two float32 moments, 8 bytes a weight", create: () => adamw },
  adamw8bit: { about: "the same in 2 bytes a weight", create: () => adamw8bit },
  muon: { about: "orthogonalised momentum for matrices, 4 bytes a weight, and AdamW for the rest", create: createMuon },
} satisfies Record<string, Row>;

export type OptimiserName = keyof typeof optimisers;
export const optimiserNames = Object.keys(optimisers) as [OptimiserName, ...OptimiserName[]];
