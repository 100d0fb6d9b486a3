// report.json: what a run's report shows beyond its recipe and metrics.
import { z } from "zod";
import { InputError } from "../../errors.ts";
import { readJsonFile, writeFileAtomic } from "../../formats/node.ts";
import { join } from "node:path";

const text = z.string();
const whole = z.number().int().nonnegative();

const recordSchema = z.object({
  state: z.enum(["running", "interrupted", "failed", "finished"]),
  /** ISO 8601 */
  updated: z.iso.datetime(),
  stages: z.array(z.object({ name: text, sums: z.record(text, whole) })),
  masks: z.array(
    z.object({
      id: text,
      stage: text,
      pieces: z.array(z.object({ text, learned: z.boolean(), tokens: whole, branch: whole.optional() })),
    }),
  ),
  answers: z.array(z.object({ picture: text, question: text, answer: text, expected: text })),
  facts: z.array(z.object({ label: text, value: text })),
  peak_bytes: whole,
});

/** The file's content; pictures by their paths. */
export type RunRecord = z.infer<typeof recordSchema>;

const fileName = "report.json";

/** Absent in folders of runs that never wrote one. Throws `REPORT_RECORD` where the file holds something else. */
export async function readRecord(folder: string): Promise<RunRecord | undefined> {
  const path = join(folder, fileName);
  const content = await readJsonFile(path).catch((error: unknown) => {
    if (error instanceof InputError && error.code === "FILE_MISSING") return undefined;
    throw error;
  });
  if (content === undefined) return undefined;
  const parsed = recordSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InputError("REPORT_RECORD", {
    expected: "what a training run writes",
    got: issue?.message ?? "something else",
    where: `${path}: ${issue?.path.join(".") ?? ""}`,
    fix: "remove the file: the report then shows what recipe.yaml and metrics.jsonl say",
  });
}

export async function writeRecord(folder: string, record: RunRecord): Promise<void> {
  await writeFileAtomic(join(folder, fileName), `${JSON.stringify(record, null, 1)}\n`);
}
