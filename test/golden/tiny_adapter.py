"""Writes a PEFT adapter of llava-tiny and what PEFT computes with it on llava-tiny's golden batch:
adapter-tiny/{adapter_config.json, adapter_model.safetensors, golden.safetensors, golden.json}.
golden.safetensors holds logits, loss and `grad.NAME` of every factor; golden.json the losses of 4 AdamW steps.

Made with torch 2.13.0, transformers 5.23.0 and peft 0.21.2:  python test/golden/tiny_adapter.py
"""
import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

torch.set_num_threads(1)
here = Path(__file__).parent
folder = here / "adapter-tiny"
given = load_file(here / "llava-tiny" / "golden.safetensors")
batch = {key: given[key] for key in ("input_ids", "pixel_values", "labels")}
layers = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj|linear_1|linear_2"
config = LoraConfig(r=3, lora_alpha=6, target_modules=rf".*(?:language_model|multi_modal_projector).*\.(?:{layers})")

torch.manual_seed(0)
model = get_peft_model(LlavaForConditionalGeneration.from_pretrained(here / "llava-tiny"), config).eval()
factors = {key: parameter for key, parameter in model.named_parameters() if "lora_" in key}
with torch.no_grad():
    for parameter in factors.values():
        parameter.copy_(torch.randn_like(parameter) * 0.2)
model.save_pretrained(folder)
(folder / "README.md").unlink()
saved = folder / "adapter_config.json"
saved.write_text(json.dumps(json.loads(saved.read_text()) | {"base_model_name_or_path": "../llava-tiny"}, indent=2) + "\n")

out = model(**batch)
out.loss.backward()
golden = {"logits": out.logits.detach(), "loss": out.loss.detach().reshape(1)}
# the file's names lack the adapter's own
golden |= {f"grad.{key.replace('.default', '')}": parameter.grad.clone() for key, parameter in factors.items()}
save_file({key: value.contiguous() for key, value in golden.items()}, folder / "golden.safetensors")

adamw = torch.optim.AdamW(factors.values(), 1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
losses = []
for _ in range(4):
    adamw.zero_grad()
    loss = model(**batch).loss
    losses.append(loss.item())
    loss.backward()
    adamw.step()
(folder / "golden.json").write_text(json.dumps({"losses": losses}) + "\n")
print(losses)
