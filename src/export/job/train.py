"""Trains what `llava export --to job` packed, by transformers' Trainer, in one process or many:
    python train.py
    torchrun --nproc_per_node 2 train.py
    accelerate launch --config_file launch/accelerate.yaml train.py
Before anything is trained, every stage's loss on its first batch is compared with the one that llava computed.
Leaves out/model, a directory for transformers and for `llava job import`, and out/metrics.jsonl. Adapters train by PEFT:
the last stage's lies in out/model beside the weights that it adds to, those of earlier stages become part of the weights.
"""
import argparse
import importlib.metadata
import json
import math
import shutil
from pathlib import Path

import numpy
import torch
import transformers
from accelerate import PartialState
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset, SequentialSampler
from transformers import LlavaForConditionalGeneration, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

IGNORED = -100
# the part of a model that a parameter belongs to, by a piece of its name; language is the rest
PARTS = {"vision_tower": "vision", "multi_modal_projector": "projector"}
# in a checkpoint: what trains beside an adapter, which is all that PEFT keeps
BESIDE = "beside_adapter.safetensors"


def part_of(name):
    return next((part for piece, part in PARTS.items() if piece in name), "language")


def trains(name, stage):
    """Whether a stage changes a parameter: an adapter's parts learn by its factors alone."""
    part = part_of(name)
    adapted = part in stage["lora"]["parts"] if "lora" in stage else False
    return part in stage["train"] and (not adapted or ".lora_" in name)


class Pictures:
    """Pixels as the tower takes them, read when asked for: bytes [H, W, 3] and the 256 values of each channel."""

    def __init__(self, folder, told):
        self.folder, self.told = folder, told
        self.values = load_file(folder / told["values"])["values"]
        self.shards = {}

    def __getitem__(self, index):
        shard, row = divmod(index, self.told["per_file"])
        if shard not in self.shards:
            file = safe_open(str(self.folder / self.told["files"][shard]), framework="np")
            # the file stays open with its slice
            self.shards[shard] = (file, file.get_slice("pixels"))
        pixels = self.shards[shard][1][row : row + 1][0]
        return self.values[numpy.arange(3), pixels].transpose(2, 0, 1)

    def blank(self):
        return numpy.zeros((3, *self.told["size"]), dtype=numpy.float32)


class Samples(Dataset):
    """A stage's samples in the order that it sees them; each step is filled up to `step_rows` with empty rows."""

    def __init__(self, folder, stage, step_rows):
        data = load_file(folder / stage["tokens"])
        self.ids, self.labels, self.starts = data["ids"], data["labels"], data["starts"]
        self.pictures, self.picture_starts = data["pictures"], data["picture_starts"]
        self.rates = data["rates"]
        order = data["order"].reshape(stage["steps"], stage["batch_size"])
        self.first = [int(i) for i in order[0] if i >= 0]
        filler = ((0, 0), (0, step_rows - stage["batch_size"]))
        self.order = numpy.pad(order, filler, constant_values=-1).reshape(-1)

    def __len__(self):
        return len(self.order)

    def __getitem__(self, place):
        return self.sample(int(self.order[place]))

    def sample(self, index):
        if index < 0:
            nothing = numpy.zeros(0, numpy.int32)
            return {"ids": nothing, "labels": nothing, "pictures": []}
        tokens = slice(self.starts[index], self.starts[index + 1])
        seen = self.pictures[self.picture_starts[index] : self.picture_starts[index + 1]]
        return {"ids": self.ids[tokens], "labels": self.labels[tokens], "pictures": [int(i) for i in seen]}


class Collator:
    """Rows of equal length, padded at the end, with their pictures in the order of their places."""

    def __init__(self, job, pictures):
        self.job, self.pictures = job, pictures
        # padding must not look like a picture's places
        self.filler = 0 if job["image_token_id"] != 0 else 1

    def __call__(self, samples):
        samples = list(samples)
        pixels = [self.pictures[i] for sample in samples for i in sample["pictures"]]
        if not pixels:
            # every process must use the projector in every pass: a row of a blank picture, from which nothing is learned
            ids = numpy.full(self.job["picture_tokens"], self.job["image_token_id"], numpy.int32)
            samples.append({"ids": ids, "labels": numpy.full(len(ids), IGNORED, numpy.int32)})
            pixels = [self.pictures.blank()]
        length = max(1, *(len(sample["ids"]) for sample in samples))

        def padded(key, filler):
            rows = [numpy.pad(sample[key], (0, length - len(sample[key])), constant_values=filler) for sample in samples]
            return torch.from_numpy(numpy.stack(rows).astype(numpy.int64))

        # an empty row attends to its first place: attention to nothing is not a number
        seen = [max(1, len(sample["ids"])) for sample in samples]
        mask = [[1] * n + [0] * (length - n) for n in seen]
        labels = padded("labels", IGNORED)
        # nothing stands before a first token: it is never predicted, and older Trainers would count it as if it were
        labels[:, 0] = IGNORED
        return {
            "input_ids": padded("ids", self.filler),
            "labels": labels,
            "attention_mask": torch.tensor(mask),
            "pixel_values": torch.from_numpy(numpy.stack(pixels)),
        }


def first_loss(model, samples, collate, rows, device):
    """The mean over all trained tokens of the first step's samples."""
    total, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(samples.first), rows):
            batch = collate([samples.sample(i) for i in samples.first[start : start + rows]])
            batch = {key: value.to(device) for key, value in batch.items()}
            labels = batch.pop("labels")[:, 1:].flatten()
            logits = model(**batch).logits[:, :-1].flatten(0, 1).float()
            total += cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
            count += int((labels != IGNORED).sum())
    return total / count


def adapted(model, stage, start, checkpoint, asked):
    """The model with a stage's adapter on it, which starts from the factors in `start`; without one, as it is."""
    if "lora" not in stage:
        return model
    from peft import PeftModel, get_peft_model_state_dict

    model = PeftModel.from_pretrained(model, str(start), is_trainable=True)
    # PEFT looks there for the size of the vocabulary, before it asks the network
    model.peft_config["default"].base_model_name_or_path = str(checkpoint)
    given = load_tensors(start / "adapter_model.safetensors")
    taken = get_peft_model_state_dict(model)
    wrong = sorted(given.keys() ^ taken.keys())
    wrong = wrong or [name for name in given if not torch.equal(given[name], taken[name].cpu())]
    if wrong:
        raise SystemExit(f"error[ADAPTER]: factors that PEFT does not take as they are: {wrong[:3]}")
    if asked.gradient_checkpointing:
        # frozen embeddings have no gradient, and layers that are computed twice would pass none on
        model.enable_input_require_grads()
    return model


def bare(model, stage, merge):
    """The model without its adapter, or with its products in the weights."""
    if "lora" not in stage:
        return model
    model = model.merge_and_unload() if merge else model.unload()
    if hasattr(model, "peft_config"):
        del model.peft_config
    return model


class JobTrainer(Trainer):
    """Our order of samples, a rate for each part, no decay on biases and norms, and our schedule."""

    def __init__(self, stage, rates, **options):
        self.stage, self.rates = stage, rates
        super().__init__(**options)

    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)

    def create_optimizer(self, model=None):
        stage = self.stage
        named = [(name, p) for name, p in (model or self.model).named_parameters() if p.requires_grad]
        groups = [
            {
                "params": [p for name, p in named if part_of(name) == part and (p.ndim > 1) == decays],
                "lr": rate,
                "weight_decay": stage["weight_decay"] if decays else 0.0,
            }
            for part, rate in stage["learning_rates"].items()
            for decays in (True, False)
        ]
        groups = [group for group in groups if group["params"]]
        self.optimizer = torch.optim.AdamW(groups, betas=tuple(stage["betas"]), eps=stage["epsilon"])
        return self.optimizer

    def create_scheduler(self, num_training_steps, optimizer=None):
        last = len(self.rates) - 1
        factor = lambda step: float(self.rates[min(step, last)])
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler


    def _save(self, output_dir=None, state_dict=None):
        super()._save(output_dir, state_dict)
        if self.args.should_save and "lora" in self.stage:
            named = self.model.named_parameters()
            beside = {name: p.detach().cpu() for name, p in named if p.requires_grad and ".lora_" not in name}
            save_tensors(beside, Path(output_dir or self.args.output_dir) / BESIDE)


class Metrics(TrainerCallback):
    """A line for each step, as llava's own metrics.jsonl has them."""

    def __init__(self, path, stage):
        self.path, self.stage = path, stage

    def on_log(self, args, state, control, logs=None, **_):
        if not state.is_world_process_zero or "loss" not in (logs or {}):
            return
        line = {"stage": self.stage["name"], "step": state.global_step, "steps": self.stage["steps"]}
        line |= {key: logs[key] for key in ("loss", "learning_rate", "grad_norm") if key in logs}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def load(folder):
    model, info = LlavaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    wrong = {kind: sorted(map(str, names)) for kind, names in info.items() if kind.endswith("_keys") and names}
    if wrong:
        raise SystemExit(f"error[CHECKPOINT]: weights that transformers does not find under their names: {wrong}")
    model.config.use_cache = False
    return model


def train_stage(model, stage, samples, collate, out, asked, plan):
    known = get_last_checkpoint(str(out / stage["name"])) if asked.resume and (out / stage["name"]).is_dir() else None
    if "lora" in stage:
        model = adapted(model, stage, Path(known) if known else plan["start"], plan["checkpoint"], asked)
        if known and model.load_state_dict(load_tensors(Path(known) / BESIDE), strict=False).unexpected_keys:
            raise SystemExit(f"error[CHECKPOINT]: {known} is of another model")
    elif known:
        # Trainer would look for the weights under the names that they have in memory, not in files, and pass them over
        model = load(known).to(model.device)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trains(name, stage))
    arguments = TrainingArguments(
        output_dir=str(out / stage["name"]),
        per_device_train_batch_size=plan["rows"],
        gradient_accumulation_steps=plan["passes"],
        num_train_epochs=1,
        max_grad_norm=stage["max_grad_norm"],
        average_tokens_across_devices=True,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if stage["checkpoint_every"] else "no",
        save_steps=stage["checkpoint_every"] or 500,
        save_total_limit=stage["keep"],
        seed=stage["seed"],
        report_to=[],
        disable_tqdm=True,
        bf16=asked.bf16,
        gradient_checkpointing=asked.gradient_checkpointing,
        use_cpu=plan["cpu"],
        # layers behind the features, and the tower's own end, have no gradients
        ddp_find_unused_parameters="vision" in stage["train"],
        ddp_backend="gloo" if plan["cpu"] and plan["processes"] > 1 else None,
        remove_unused_columns=False,
    )
    trainer = JobTrainer(
        stage=stage,
        rates=samples.rates,
        model=model,
        args=arguments,
        train_dataset=samples,
        data_collator=collate,
        callbacks=[Metrics(out / "metrics.jsonl", stage)],
    )
    trainer.train(resume_from_checkpoint=known)
    return trainer


def save(trainer, state, folder, files, last):
    """A whole directory or none: written beside, then renamed. Returns the model without an adapter on it."""
    unfinished = folder.with_name(folder.name + ".tmp")
    model = trainer.accelerator.unwrap_model(trainer.model)
    if "lora" in trainer.stage:
        if state.is_main_process and last:
            model.save_pretrained(str(unfinished))
        model = bare(model, trainer.stage, merge=not last)
        if state.is_main_process:
            model.save_pretrained(str(unfinished))
    else:
        trainer.save_model(str(unfinished))
    state.wait_for_everyone()
    if state.is_main_process:
        for file in files:
            shutil.copy(file, unfinished / file.name)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    state.wait_for_everyone()
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="samples of a process in one pass (default: what is enough, at most 4)")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16; weights stay float32")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="less memory, more time")
    parser.add_argument("--cpu", action="store_true", help="leave accelerators alone")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run stopped, if there was one")
    parser.add_argument("--check-only", action="store_true", help="compare losses, train nothing")
    parser.add_argument("--out", type=Path, help="where results go (default: out beside this file)")
    asked = parser.parse_args()
    folder = Path(__file__).resolve().parent
    out = asked.out or folder / "out"
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    cpu = asked.cpu or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    state = PartialState(cpu=cpu)
    pictures = Pictures(folder, job["pictures"])
    collate = Collator(job, pictures)
    model = load(folder / job["checkpoint"]).to(state.device)
    # convolutions and products in whole float32, as llava computes
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    work, checks = [], {}
    for stage in job["stages"]:
        rows = asked.rows or min(4, math.ceil(stage["batch_size"] / state.num_processes))
        passes = math.ceil(stage["batch_size"] / (rows * state.num_processes))
        plan = {"rows": rows, "passes": passes, "cpu": cpu, "processes": state.num_processes}
        plan["checkpoint"] = folder / job["checkpoint"]
        plan["start"] = folder / stage["lora"]["start"] if "lora" in stage else None
        samples = Samples(folder, stage, rows * passes * state.num_processes)
        work.append((stage, samples, plan))
        model = adapted(model, stage, plan["start"], plan["checkpoint"], asked)
        loss = first_loss(model, samples, collate, rows, state.device)
        model = bare(model, stage, merge=False)
        checks[stage["name"]] = {"expected": stage["expected_loss"], "got": loss}
        if not abs(loss - stage["expected_loss"]) <= job["tolerance"]:
            raise SystemExit(
                f"error[PARITY]: expected a loss of {stage['expected_loss']:.6f} on the first batch of stage "
                f"{stage['name']}, got {loss:.6f}; nothing was trained"
            )
        if state.is_main_process:
            print(f"stage {stage['name']}: loss on its first batch {loss:.6f}, llava's {stage['expected_loss']:.6f}")
    if asked.check_only:
        return
    if state.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        if not asked.resume:
            (out / "metrics.jsonl").unlink(missing_ok=True)
    state.wait_for_everyone()
    aside = [f for f in (folder / job["checkpoint"]).iterdir() if f.suffix in (".json", ".jinja")]
    aside = [f for f in aside if f.name != "config.json" and not f.name.endswith(".index.json")]
    for stage, samples, plan in work:
        last = stage is job["stages"][-1]
        finished = out / ("model" if last else f"{stage['name']}-model")
        if asked.resume and finished.is_dir():
            model = model if last else load(finished).to(state.device)
            continue
        trainer = train_stage(model, stage, samples, collate, out, asked, plan)
        model = save(trainer, state, finished, aside, last)
    if state.is_main_process:
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        if any("lora" in stage for stage in job["stages"]):
            versions["peft"] = importlib.metadata.version("peft")
        made = {**versions, "processes": state.num_processes, "bf16": asked.bf16, "checks": checks}
        (out / "run.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
        print(f"{out / 'model'}")


if __name__ == "__main__":
    main()
