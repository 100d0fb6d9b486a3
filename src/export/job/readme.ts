// README.md of a job: what lies there, how it is run, and how its result comes back.
import type { Job, JobStage } from "./job-file.ts";

const adapters = `| \`data/adapter-NAME/\` | the adapter that a stage begins with, as PEFT reads it; the last stage's lies in \`out/model\` afterwards, those of earlier stages become part of the weights |
`;

function trained({ train, lora }: JobStage): string {
  const adapted: readonly string[] = lora?.parts ?? [];
  return train.map((part) => (adapted.includes(part) ? `${part} (LoRA, rank ${lora!.rank})` : part)).join(", ");
}

export function jobReadme({ name, stages, pictures, tolerance }: Job): string {
  const rows = stages.map(
    (stage) =>
      `| ${stage.name} | ${trained(stage)} | ${stage.steps} steps of ${stage.batch_size} | ${stage.expected_loss.toFixed(6)} |`,
  );
  return `# ${name}: a training job

A recipe of llava, ready for PyTorch: everything is tokenised, masked and preprocessed. Nothing but Python is needed here.

\`\`\`sh
pip install --requirement requirements.txt
python train.py --check-only                  # compares losses, trains nothing
torchrun --nproc_per_node 2 train.py --bf16   # one process for each accelerator
\`\`\`

| stage | trains | length | loss on its first batch |
|---|---|---|---|
${rows.join("\n")}

Before the first step train.py computes these losses itself and ends, with nothing trained, where one differs by more than ${tolerance}. Samples come in llava's order and make up llava's batches in any number of processes; rates, decay and clipping are the recipe's. \`--rows\` sets how many samples a process takes in one pass, \`--gradient-checkpointing\` saves memory, \`--resume\` goes on where a run stopped, \`--cpu\` leaves accelerators alone.

| | |
|---|---|
| \`job.json\` | what train.py reads |
| \`checkpoint/\` | the model before the first stage, as transformers' LlavaForConditionalGeneration loads it |
| \`data/stage-NAME.safetensors\` | \`ids\` and \`labels\` (-100: not learned) of all samples, cut by \`starts\`; \`pictures\` by number, cut by \`picture_starts\`; \`order\` and \`rates\` of the steps |
| \`data/pixels-….safetensors\` | pictures as ${pictures.size.join(" × ")} pixels; \`values.safetensors\` says what each byte stands for |
${stages.some(({ lora }) => lora) ? adapters : ""}| \`launch/\` | files for \`accelerate launch --config_file\`, \`sbatch\`, \`kubectl apply -f\` (Kubeflow Trainer), and Hugging Face Jobs: look them over, they name machines |
| \`out/\` | afterwards: \`model/\`, \`metrics.jsonl\`, \`run.json\`, checkpoints |

The result comes back with \`llava job import FOLDER --out MODEL\`.
`;
}
