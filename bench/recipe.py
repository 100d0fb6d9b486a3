"""The lab recipe as a person would write it on Hugging Face's Trainer: a ViT that encodes every picture anew, a projector,
SmolLM2; batches padded to their longest sample, logits of every position, AdamW and clipping as the Trainer has them.
Prints one line of JSON: for each stage seconds and losses of its steps and the tokens in them (padding not counted).

    pip install torch==2.13.0 transformers==5.23.0 accelerate gguf pillow
    python bench/recipe.py --vision FOLDER --language FOLDER --gguf FILE --images FOLDER \
        --align captions.json --instruct instruct.json [--align-steps 20] [--instruct-steps 20] [--threads 2]
"""
import argparse
import json
import random
import resource
import time
from pathlib import Path

import torch
import transformers
from PIL import Image

parser = argparse.ArgumentParser()
for name in ["vision", "language", "gguf", "images", "align", "instruct"]:
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--align-steps", type=int, default=20)
parser.add_argument("--instruct-steps", type=int, default=20)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
picture_tokens = 49


class Lab(torch.nn.Module):
    """Features of the last layer but one without the class token, 2 × 2 of them side by side, through an MLP."""

    def __init__(self):
        super().__init__()
        self.vision = transformers.ViTModel.from_pretrained(options.vision, add_pooling_layer=False)
        self.language = transformers.AutoModelForCausalLM.from_pretrained(
            options.language, gguf_file=options.gguf, dtype=torch.float32
        )
        width, out = self.vision.config.hidden_size, self.language.config.hidden_size
        self.projector = torch.nn.Sequential(torch.nn.Linear(4 * width, out), torch.nn.GELU(), torch.nn.Linear(out, out))

    def forward(self, pixel_values, input_ids, attention_mask, labels):
        with torch.no_grad():
            features = self.vision(pixel_values, output_hidden_states=True).hidden_states[-2][:, 1:]
        b, n, d = features.shape
        side = int(n**0.5)
        grid = features.view(b, side // 2, 2, side // 2, 2, d).transpose(2, 3).reshape(b, -1, 4 * d)
        embeddings = self.language.get_input_embeddings()(input_ids.clamp(min=0))
        embeddings = embeddings.masked_scatter((input_ids < 0)[..., None], self.projector(grid))
        return self.language(inputs_embeds=embeddings, attention_mask=attention_mask, labels=labels)


tokenizer = transformers.AutoTokenizer.from_pretrained(options.language)
processor = transformers.AutoImageProcessor.from_pretrained(options.vision)


def tokens_of(text):
    return tokenizer(text, add_special_tokens=False).input_ids


def encode(sample, plain):
    """Ids (−1 for each picture token) and labels; the assistant's words and their end are learned."""
    ids, labels = [], []

    def put(part, learned):
        ids.extend(part)
        labels.extend(part if learned else [-100] * len(part))

    for turn in sample["conversations"]:
        text = turn["value"]
        if turn["from"] == "human":
            if not plain:
                put(tokens_of("<|im_start|>user\n"), False)
            if "<image>" in text:
                put([-1] * picture_tokens, False)
            if not plain:
                put(tokens_of(text.replace("<image>", "") + "<|im_end|>\n<|im_start|>assistant\n"), False)
        else:
            put(tokens_of(text + ("\n" if plain else "<|im_end|>")), True)
            if not plain:
                put(tokens_of("\n"), False)
    return ids, labels


class Samples(torch.utils.data.Dataset):
    def __init__(self, path, count, plain):
        samples = json.loads(Path(path).read_text())
        random.Random(0).shuffle(samples)
        self.samples, self.plain = samples[:count], plain

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        sample = self.samples[index]
        ids, labels = encode(sample, self.plain)
        picture = Image.open(Path(options.images) / sample["image"]).convert("RGB")
        pixels = processor(picture, return_tensors="pt").pixel_values[0]
        return dict(ids=ids, labels=labels, pixels=pixels)


tokens = []


def collate(batch):
    length = max(len(one["ids"]) for one in batch)
    tokens.append(sum(len(one["ids"]) for one in batch))
    pad = lambda values, value: values + [value] * (length - len(values))
    return dict(
        pixel_values=torch.stack([one["pixels"] for one in batch]),
        input_ids=torch.tensor([pad(one["ids"], tokenizer.pad_token_id or 0) for one in batch]),
        attention_mask=torch.tensor([pad([1] * len(one["ids"]), 0) for one in batch]),
        labels=torch.tensor([pad(one["labels"], -100) for one in batch]),
    )


class Clock(transformers.TrainerCallback):
    def __init__(self):
        self.marks, self.losses = [time.perf_counter()], []

    def on_step_end(self, *_, **__):
        self.marks.append(time.perf_counter())

    def on_log(self, *_, logs=None, **__):
        if "loss" in logs:
            self.losses.append(float(logs["loss"]))


def train(model, path, steps, batch, rates, plain):
    model.requires_grad_(False)
    for part in rates:
        getattr(model, part).requires_grad_(True)
    groups = [dict(params=list(getattr(model, part).parameters()), lr=rate) for part, rate in rates.items()]
    adamw = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    arguments = transformers.TrainingArguments(
        output_dir="unused", max_steps=steps, per_device_train_batch_size=batch, max_grad_norm=1.0, logging_steps=1,
        warmup_steps=0, lr_scheduler_type="cosine", save_strategy="no", report_to=[], remove_unused_columns=False,
        use_cpu=True, disable_tqdm=True, dataloader_num_workers=0,
    )
    clock = Clock()
    tokens.clear()
    data = Samples(path, steps * batch, plain)
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=data, data_collator=collate, optimizers=(adamw, None), callbacks=[clock]
    )
    clock.marks = [time.perf_counter()]
    trainer.train()
    seconds = [b - a for a, b in zip(clock.marks, clock.marks[1:])]
    return dict(seconds=seconds, losses=clock.losses, tokens=tokens[: len(seconds)])


model = Lab()
result = dict(
    align=train(model, options.align, options.align_steps, 16, dict(projector=1e-3), True),
    instruct=train(model, options.instruct, options.instruct_steps, 4, dict(projector=1e-3, language=2e-4), False),
    peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
)
print(json.dumps(result))
