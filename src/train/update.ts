// The optimiser's half of a step: the global gradient norm, clipping, and every weight moved.
import { RunError } from "../errors.ts";
import type { UpdateOptions } from "./optimisers/optimiser.ts";
import type { PartParameters } from "./parameters.ts";
import type { StepContext, TrainedPart } from "./step-context.ts";

/** What a step's update is made with. */
export interface StepOptions extends Pick<UpdateOptions, "betas" | "epsilon" | "weightDecay"> {
  readonly learningRates: Readonly<Partial<Record<TrainedPart, number>>>;
  /** 0: no clipping */
  readonly maxGradNorm: number;
}

function trainedParts(context: StepContext): (readonly [TrainedPart, PartParameters])[] {
  return (Object.entries(context.parts) as [TrainedPart, PartParameters][]).filter(
    ([, part]) => part.trained !== undefined,
  );
}

/** √Σ g² over all trained parts; a part that no sample of this step reached has gradients of zero. */
export async function gradientNorm(context: StepContext): Promise<number> {
  const pass = context.engine.pass();
  const trained = trainedParts(context);
  if (trained.length === 0) return 0;
  for (const [name, part] of trained) {
    if (name === "language" || context.summed.has(name)) continue;
    for (const buffer of part.trained!.gradients) pass.call({ kernel: "fill", buffer, value: 0 });
  }
  const of = trained.flatMap(([, part]) => [...part.trained!.gradients]);
  const { sum } = await pass.call({ kernel: "sumSquares", of, into: context.norm }).read("sum", context.norm).submit();
  return Math.sqrt((sum!.data as Float32Array)[0]!);
}

/** Moves every trained weight along its gradient, which is first scaled so that the norm over all parts is at most `maxGradNorm`. */
export async function update(
  context: StepContext,
  step: number,
  gradNorm: number,
  options: StepOptions,
): Promise<void> {
  if (!Number.isFinite(gradNorm)) {
    throw new RunError("TRAIN_NOT_FINITE", {
      expected: "a finite gradient norm",
      got: String(gradNorm),
      where: `step ${step}`,
      fix: "lower the learning rate",
    });
  }
  const { learningRates, maxGradNorm, weightDecay, ...rest } = options;
  // as torch.nn.utils.clip_grad_norm_: the norm plus 1e-6
  const scale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (gradNorm + 1e-6)) : 1;
  const pass = context.engine.pass();
  for (const [name, part] of trainedParts(context)) {
    const { optimiser, shapes, state } = part.trained!;
    const learningRate = learningRates[name] ?? 0;
    for (const [key, shape] of shapes) {
      // biases and norms are not decayed (LLaVA's trainer, as Hugging Face's)
      const decay = shape.length > 1 ? weightDecay : 0;
      await optimiser.update(pass, state(key), { ...rest, step, learningRate, weightDecay: decay, scale });
    }
  }
  await pass.submit();
}
