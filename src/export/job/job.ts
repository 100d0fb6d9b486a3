// A recipe handed over: checkpoint, tokens, pixels, train.py and the losses that it must find, as one folder.
import { copyFile, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFileAtomic } from "../../formats/node.ts";
import { encodeSafetensors } from "../../formats/safetensors-write.ts";
import { writeAdapter } from "../../models/adapter-node.ts";
import { modelCard } from "../../models/card.ts";
import { tokensPerPicture } from "../../models/config.ts";
import { type AdaptedPart, loraParts } from "../../models/lora.ts";
import { writeFolder } from "../../models/save-node.ts";
import { beyondTransformers } from "../../models/transformers-limits.ts";
import type { Engine } from "../../runtime/engine.ts";
import { freshAdapter } from "../../train/adapted-part.ts";
import { type Assembly, assemble } from "../../train/assemble.ts";
import { runFacts } from "../../train/card.ts";
import { pictureName, type PictureSource } from "../../train/features.ts";
import { formatRecipe, type Recipe, type StageRecipe } from "../../train/recipe.ts";
import { loadStages, type StageData } from "../../train/stage-data.ts";
import { checkOutput } from "../output.ts";
import { unsupported } from "../unsupported.ts";
import { writeLlava } from "../write-llava.ts";
import { firstLosses } from "./first-loss.ts";
import { type Job, JOB_FORMAT, jobFile, type JobStage, LOSS_TOLERANCE } from "./job-file.ts";
import { launchFiles, requirements } from "./launch.ts";
import { writePixels } from "./pixels.ts";
import { jobReadme } from "./readme.ts";
import { stageEntries } from "./tokens.ts";

export interface JobOptions {
  readonly out: string;
  readonly engine: Engine;
  /** of a file of weights or pixels */
  readonly shardBytes: number;
  /** replaces an older job */
  readonly force?: boolean;
  readonly onProgress?: (part: "tensors" | "pictures", done: number, total: number) => void;
}

const trainer = fileURLToPath(new URL("./train.py", import.meta.url));
const checkpoint = "checkpoint";

/**
 * Writes a recipe, all its stages, as a job for PyTorch. Everything is read and checked first, and the folder appears
 * whole. Throws `EXPORT_UNSUPPORTED` for what train.py can't do, `OUTPUT_EXISTS`, and what checking a recipe's data throws.
 */
export async function exportJob(recipe: Recipe, options: JobOptions): Promise<void> {
  const out = await checkOutput(recipe.output, options.out, options.force ?? false);
  for (const stage of recipe.stages) checkStage(stage);
  const assembly = await assemble(recipe);
  try {
    checkModel(assembly, recipe.name);
    const stages = await loadStages({ assembly, stages: recipe.stages });
    await writeFolder(out, (unfinished) => writeJob(unfinished, { recipe, options, assembly, stages }));
  } finally {
    await assembly.close();
  }
}

function checkStage({ name, quantize, optimizer, share_pictures: share }: StageRecipe): void {
  const fix = "change it with --set, or train it here: llava train";
  const refuse = (expected: string, got: string): never => unsupported(`stage ${name}`, expected, got, fix);
  if (quantize !== undefined) refuse("weights in float32, as train.py quantises nothing", `quantize: ${quantize}`);
  if (share !== undefined)
    refuse("samples with pictures of their own, as train.py joins none", `share_pictures: ${share}`);
  if (optimizer !== "adamw") refuse("optimizer: adamw, PyTorch's own", optimizer);
}

function checkModel({ config }: Assembly, where: string): void {
  const beyond = beyondTransformers(config);
  if (beyond !== undefined) unsupported(where, beyond.expected, beyond.got, "train it here: llava train");
}

interface Whole {
  readonly recipe: Recipe;
  readonly options: JobOptions;
  readonly assembly: Assembly;
  readonly stages: readonly StageData[];
}

async function writeJob(folder: string, { recipe, options, assembly, stages }: Whole): Promise<void> {
  const { engine, shardBytes, onProgress } = options;
  const config = { ...assembly.config, ...trainedTemplate(recipe, assembly) };
  const facts = await runFacts(recipe);
  // the losses first: what is wrong with the model shows before gigabytes are written
  const losses = await firstLosses(engine, assembly, stages);
  for (const name of [checkpoint, "data", "launch"]) await mkdir(join(folder, name));
  const start = modelCard({ name: `${recipe.name}, before training`, config, bases: facts.bases });
  await writeLlava(
    join(folder, checkpoint),
    { ...assembly, config, card: start },
    { dtype: "F32", shardBytes, onProgress: (done, total) => onProgress?.("tensors", done, total) },
  );
  const pictures = picturesOf(stages);
  let done = 0;
  const pixels = await writePixels(folder, [...pictures.values()], {
    preprocessor: assembly.preprocessor,
    shardBytes,
    onPicture: () => onProgress?.("pictures", ++done, pictures.size),
  });
  const numbers = new Map([...pictures.keys()].map((name, i) => [name, i]));
  for (const data of stages) {
    const entries = stageEntries(data, (name) => numbers.get(name)!);
    await writeFileAtomic(join(folder, tokensOf(data.stage)), encodeSafetensors(entries));
    await writeStartOfAdapter(folder, data.stage, assembly);
  }
  await writeTexts(folder, recipe, {
    format: JOB_FORMAT,
    name: recipe.name,
    checkpoint,
    tolerance: LOSS_TOLERANCE,
    image_token_id: config.imageTokenId,
    picture_tokens: tokensPerPicture(config),
    pictures: pixels,
    stages: stages.map((data, i) => jobStage(data, losses[i]!)),
    card: {
      bases: [...facts.bases],
      stages: facts.stages.map((stage) => ({ ...stage, train: [...stage.train], data: [...stage.data] })),
    },
  });
}

/** The model is asked the way that its last stage teaches it. */
function trainedTemplate({ stages }: Recipe, { config }: Assembly): { template?: string } {
  const template = stages.at(-1)!.template ?? config.template;
  return template === undefined ? {} : { template };
}

async function writeTexts(folder: string, recipe: Recipe, job: Job): Promise<void> {
  const texts = {
    ...launchFiles(recipe.name),
    "requirements.txt": requirements(job.stages.some(({ lora }) => lora !== undefined)),
    "recipe.yaml": formatRecipe(recipe),
    "README.md": jobReadme(job),
    [jobFile]: `${JSON.stringify(job, null, 2)}\n`,
  };
  for (const [name, text] of Object.entries(texts)) await writeFileAtomic(join(folder, name), text);
  await copyFile(trainer, join(folder, basename(trainer)));
}

/** Of all stages, each once. */
function picturesOf(stages: readonly StageData[]): Map<string, PictureSource> {
  const all = stages.flatMap(({ samples, pictures }) => {
    const shown = new Set(samples.flatMap(({ images }) => images));
    return pictures.map((picture) => [pictureName(picture), picture] as const).filter(([name]) => shown.has(name));
  });
  return new Map(all);
}

/** PEFT's folder of a stage's adapter as llava would begin with it. */
async function writeStartOfAdapter(folder: string, stage: StageRecipe, assembly: Assembly): Promise<void> {
  const { lora, seed } = stage;
  if (lora === undefined) return;
  const start = (part: AdaptedPart) => [part, freshAdapter(assembly[part].shapes, lora, seed)] as const;
  const adapter = { lora, parts: Object.fromEntries(loraParts(lora).map(start)) };
  await writeAdapter(join(folder, startOf(stage)), adapter, checkpoint);
}

const startOf = ({ name }: StageRecipe): string => `data/adapter-${name}`;

const tokensOf = ({ name }: StageRecipe): string => `data/stage-${name}.safetensors`;

function jobStage({ stage, plan }: StageData, expectedLoss: number): JobStage {
  const { name, train, batch_size, weight_decay, betas, epsilon, max_grad_norm, checkpoint_every, keep, seed } = stage;
  return {
    name,
    tokens: tokensOf(stage),
    train: [...train],
    ...(stage.lora && {
      lora: { ...stage.lora, targets: [...stage.lora.targets], parts: loraParts(stage.lora), start: startOf(stage) },
    }),
    steps: plan.steps,
    batch_size,
    learning_rates: stage.learning_rate,
    weight_decay,
    betas: [...betas],
    epsilon,
    max_grad_norm,
    checkpoint_every,
    keep,
    seed,
    expected_loss: expectedLoss,
  };
}
