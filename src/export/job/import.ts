// A trained job comes back: its weights, with everything else as it was handed over, as a model directory with a card.
import { basename, join } from "node:path";
import { InputError } from "../../errors.ts";
import { readJsonFile } from "../../formats/node.ts";
import { parsePreprocessor } from "../../image/preprocessor.ts";
import { readAdapter, writeAdapter } from "../../models/adapter-node.ts";
import { modelCard } from "../../models/card.ts";
import type { WrittenDType } from "../../models/config-write.ts";
import { type Adapter, loraShapes } from "../../models/lora.ts";
import { type LlavaFiles, openLlava } from "../../models/node.ts";
import { writeFolder } from "../../models/save-node.ts";
import { isRecord } from "../../data/untrusted.ts";
import { checkOutput } from "../output.ts";
import { writeLlava } from "../write-llava.ts";
import { type Job, jobFile, jobSchema } from "./job-file.ts";

export interface JobImportOptions {
  readonly out: string;
  /** of the weights; float32 unless told */
  readonly dtype?: WrittenDType;
  readonly shardBytes: number;
  readonly force?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes what a job's train.py left in `out/model` as a model directory, with the adapter that its last stage trained.
 * Nothing but weights is taken from there:
 * config, tokenizer and preprocessing are those of the checkpoint that was handed over.
 * Throws `JOB_FILE`, `JOB_UNFINISHED`, `JOB_MODEL` where another model came back, and as `openLlava`, `checkOutput`.
 */
export async function importJob(folder: string, options: JobImportOptions): Promise<void> {
  const out = await checkOutput(folder, options.out, options.force ?? false);
  const job = await readJob(folder);
  const result = join(folder, "out", "model");
  const made = await readRun(join(folder, "out"));
  const start = await openLlava(join(folder, job.checkpoint));
  try {
    const trained = await openLlava(result, { adapter: false });
    try {
      checkSame(start, trained);
      const { dtype = "F32", shardBytes, onProgress } = options;
      const model = await joined(start, trained, cardOf(basename(out), job, start, made));
      const adapter = await adapterOf(result, job, trained);
      await writeFolder(out, async (unfinished) => {
        await writeLlava(unfinished, model, { dtype, shardBytes, onProgress });
        if (adapter) await writeAdapter(unfinished, adapter, out);
      });
    } finally {
      await trained.close();
    }
  } finally {
    await start.close();
  }
}

async function readJob(folder: string): Promise<Job> {
  const where = join(folder, jobFile);
  const parsed = jobSchema.safeParse(await readJsonFile(where));
  if (parsed.success) return parsed.data;
  const { message, path } = parsed.error.issues[0]!;
  const got = `${message} at ${path.join(".") || "the top"}`;
  throw new InputError("JOB_FILE", { expected: "the job.json of llava export --to job", got, where });
}

/** What train.py wrote last: without it the run was not finished. */
async function readRun(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const where = join(folder, "run.json");
  const made = await readJsonFile(where).catch((error: unknown) => {
    if (!(error instanceof InputError) || error.code !== "FILE_MISSING") throw error;
    const fix = "run its train.py to the end, with --resume where it was stopped, and bring the folder out back";
    throw new InputError("JOB_UNFINISHED", { expected: "a finished job", got: "no out/run.json", where: folder, fix });
  });
  return isRecord(made) ? made : {};
}

/** Layers, widths and vocabulary must be those that were handed over. */
function checkSame(start: LlavaFiles, trained: LlavaFiles): void {
  for (const part of ["vision", "projector", "language"] as const) {
    const [before, after] = [start[part].shapes, trained[part].shapes];
    const other = [...before].find(([name, shape]) => JSON.stringify(after.get(name)) !== JSON.stringify(shape));
    if (other === undefined && before.size === after.size) continue;
    const got = other === undefined ? `${after.size} of them` : `another ${part} at ${other[0]}`;
    const expected = `the ${before.size} tensors of the ${part} that were handed over`;
    throw new InputError("JOB_MODEL", { expected, got, where: trained.where });
  }
}

/** The adapter that the last stage trained, of the rank and the layers that were handed over. */
async function adapterOf(result: string, { stages }: Job, trained: LlavaFiles): Promise<Adapter | undefined> {
  const last = stages.at(-1)!;
  if (last.lora === undefined) return undefined;
  const { rank, alpha, targets } = last.lora;
  const adapter = await readAdapter(result, trained);
  const refuse = (got: string): never => {
    throw new InputError("JOB_MODEL", { expected: `the adapter of stage ${last.name}`, got, where: result });
  };
  const { lora: found } = adapter;
  if (found.rank !== rank || found.alpha !== alpha) refuse(`one of rank ${found.rank} and alpha ${found.alpha}`);
  for (const part of ["projector", "language"] as const) {
    const wanted = last.lora.parts.includes(part) ? loraShapes(trained[part].shapes, last.lora) : new Map();
    const got = adapter.parts[part]?.shapes ?? new Map();
    const other = [...wanted.keys(), ...got.keys()].find((name) => !wanted.has(name) || !got.has(name));
    if (other !== undefined) refuse(`another ${part} at ${other}`);
  }
  return { lora: { rank, alpha, targets }, parts: adapter.parts };
}

async function joined(start: LlavaFiles, trained: LlavaFiles, card: string) {
  return {
    config: start.config,
    vision: trained.vision,
    projector: trained.projector,
    language: trained.language,
    tokenizerFiles: await start.tokenizer(),
    preprocessor: parsePreprocessor(await start.preprocessor(), start.where, start.config.vision.family),
    endIds: start.endIds,
    card,
  };
}

function cardOf(
  name: string,
  { card, stages }: Job,
  { config }: LlavaFiles,
  made: Readonly<Record<string, unknown>>,
): string {
  // from a file that was elsewhere: nothing but what looks like a version becomes part of the card
  const text = (value: unknown): string => (/^[\w.+-]{1,40}$/.test(String(value)) ? String(value) : "?");
  const steps = stages.map((stage) => `${stage.name}: ${stage.steps} steps`).join(", ");
  const by = `transformers ${text(made["transformers"])} on PyTorch ${text(made["torch"])}, ${text(made["processes"])} processes`;
  return modelCard({ name, config, ...card, trainedBy: `${by} (${steps})` });
}
