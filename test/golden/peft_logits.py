"""Logits of a model with an adapter, by PEFT and by transformers alone (which finds an adapter inside the model's folder):
    python test/golden/peft_logits.py BASE ADAPTER BATCH.safetensors OUT.safetensors
BASE has no adapter; ADAPTER is a whole model with an adapter inside. OUT holds `peft` and `embedded`.
"""
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

base, adapter, batch, out = sys.argv[1:]
given = load_file(batch)
inputs = {key: given[key] for key in ("input_ids", "pixel_values")}


def load(folder):
    return LlavaForConditionalGeneration.from_pretrained(folder).float().eval()


with torch.no_grad():
    logits = {
        "peft": PeftModel.from_pretrained(load(base), adapter)(**inputs).logits,
        "embedded": load(adapter)(**inputs).logits,
    }
save_file({key: value.contiguous() for key, value in logits.items()}, out)
