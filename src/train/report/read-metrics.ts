// metrics.jsonl as a report reads it: whatever a folder holds, every figure is one.
import { z } from "zod";
import { InputError } from "../../errors.ts";
import { type EvaluationMetrics, type Metrics, readMetrics, type StepMetrics } from "../metrics.ts";

const whole = z.number().int().nonnegative();
// JSON writes what is not finite as null
const figure = z.union([z.number(), z.null().transform(() => Number.NaN)]);

const stepSchema = z.object({
  stage: z.string(),
  step: whole,
  steps: whole,
  loss: figure,
  learning_rate: z.number(),
  learning_rates: z.record(z.string(), z.number()),
  grad_norm: figure,
  tokens: whole,
  supervised_tokens: whole,
  seconds: z.number().nonnegative(),
}) satisfies z.ZodType<StepMetrics>;

const evaluationSchema = z.object({
  stage: z.string(),
  step: whole,
  steps: whole,
  held_out_loss: figure.exactOptional(),
  score: z
    .looseObject({ task: z.string(), n: whole, accuracy: z.number(), figure: z.string().exactOptional() })
    .exactOptional(),
  answers: z.array(z.object({ picture: z.string(), question: z.string(), answer: z.string(), expected: z.string() })),
  best: z.boolean(),
  seconds: z.number().nonnegative(),
}) satisfies z.ZodType<EvaluationMetrics>;

/** As `readMetrics`; throws `REPORT_METRICS` naming the field where a line is something else. */
export async function readCheckedMetrics(path: string): Promise<Metrics> {
  const { steps, evaluations } = await readMetrics(path);
  return {
    steps: steps.map((line) => checked(stepSchema, line, path)),
    evaluations: evaluations.map((line) => checked(evaluationSchema, line, path)),
  };
}

function checked<T>(schema: z.ZodType<T>, line: StepMetrics | EvaluationMetrics, path: string): T {
  const parsed = schema.safeParse(line);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InputError("REPORT_METRICS", {
    expected: "a step's or an evaluation's figures, as training writes them",
    got: `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "something else"}`,
    where: path,
  });
}
