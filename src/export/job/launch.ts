// How a job is started elsewhere: accelerate, Slurm, Kubeflow's TrainJob, Hugging Face Jobs; each a file to be looked over.
import { stringify } from "yaml";

/** An image with CUDA's PyTorch; what train.py needs besides is in requirements.txt. */
const IMAGE = "pytorch/pytorch:2.9.1-cuda12.8-cudnn9-runtime";

const imported = `torch>=2.4
transformers>=4.57
accelerate>=1.10
safetensors>=0.5
numpy>=1.26
`;

/**
 * What train.py imports, at least in these versions: transformers 4.57 is the oldest that loads the checkpoint, PEFT 0.18
 * the oldest that was made for it.
 */
export function requirements(adapters: boolean): string {
  return adapters ? `${imported}peft>=0.18\n` : imported;
}

/** The launch files of a job by their paths in its folder. */
export function launchFiles(name: string): Readonly<Record<string, string>> {
  const label = labelOf(name);
  return {
    "launch/accelerate.yaml": accelerate(),
    "launch/slurm.sh": slurm(label),
    "launch/trainjob.yaml": trainJob(label),
    "launch/hf-jobs.sh": huggingFace(label),
  };
}

/** What Kubernetes takes for a name (RFC 1035 labels), short enough for what is appended to it. */
function labelOf(name: string): string {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return `llava-${plain}`.slice(0, 40).replace(/-+$/, "");
}

/** `accelerate launch --config_file`: one machine, two processes; train.py decides about bfloat16. */
function accelerate(): string {
  return stringify({
    compute_environment: "LOCAL_MACHINE",
    distributed_type: "MULTI_GPU",
    num_machines: 1,
    num_processes: 2,
    machine_rank: 0,
    main_training_function: "main",
    mixed_precision: "no",
    rdzv_backend: "static",
    same_network: true,
    use_cpu: false,
  });
}

/** `sbatch launch/slurm.sh` in the job's folder, on a file system that all nodes see; goes on after a requeue. */
function slurm(label: string): string {
  return `#!/bin/bash
#SBATCH --job-name=${label}
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes "$SLURM_NNODES" --nproc_per_node "\${SLURM_GPUS_ON_NODE:-1}" \\
  --rdzv_id "$SLURM_JOB_ID" --rdzv_backend c10d --rdzv_endpoint "$head_node:29500" \\
  train.py --bf16 --resume
`;
}

/**
 * `kubectl apply -f`: Kubeflow Trainer 2.2 or newer, with the job's folder on the claim of the same name (older ones say
 * podTemplateOverrides for runtimePatches).
 */
function trainJob(label: string): string {
  const volume = "job";
  const pod = {
    volumes: [{ name: volume, persistentVolumeClaim: { claimName: label } }],
    containers: [{ name: "node", volumeMounts: [{ name: volume, mountPath: "/job" }] }],
  };
  const patch = {
    template: { spec: { replicatedJobs: [{ name: "node", template: { spec: { template: { spec: pod } } } }] } },
  };
  return stringify(
    {
      apiVersion: "trainer.kubeflow.org/v1alpha1",
      kind: "TrainJob",
      metadata: { name: label },
      spec: {
        runtimeRef: { apiGroup: "trainer.kubeflow.org", kind: "ClusterTrainingRuntime", name: "torch-distributed" },
        trainer: {
          image: IMAGE,
          numNodes: 1,
          numProcPerNode: 1,
          command: ["bash", "-c", `cd /job && ${inContainer("torchrun")}`],
          resourcesPerNode: { limits: { "nvidia.com/gpu": 1 } },
        },
        runtimePatches: [{ manager: "llava.job/export", trainingRuntimeSpec: patch }],
      },
    },
    { lineWidth: 0 },
  );
}

/** `bash launch/hf-jobs.sh` in the job's folder: it is synced to a bucket, and \`out\` is fetched from there afterwards. */
function huggingFace(label: string): string {
  return `#!/bin/bash
# Needs the hf command line (pip install huggingface_hub) and hf auth login. More options go behind: --dry-run, --namespace NAME.
set -euo pipefail
cd "$(dirname "$0")/.."
hf jobs run --name ${label} --flavor a10g-small --timeout 12h --volume .:/job:rw "$@" \\
  ${IMAGE} bash -c "cd /job && ${inContainer("torchrun --nproc_per_node gpu")}"
# fetch the results with the hf buckets sync command that was printed, then: llava job import . --out FOLDER
`;
}

const inContainer = (torchrun: string): string =>
  `pip install --quiet --requirement requirements.txt && ${torchrun} train.py --bf16 --resume`;
