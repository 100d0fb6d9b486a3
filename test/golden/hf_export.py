"""What transformers makes of an exported llava directory, by its own processor, model and generate():
    python test/golden/hf_export.py MODEL PICTURE PROMPT OUT.safetensors
Fails unless every parameter is found under its name. OUT holds input_ids, pixel_values, logits and greedy.
"""
import sys

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

folder, picture, prompt, out = sys.argv[1:]
torch.set_num_threads(1)
model, info = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
    assert not info[kind], (kind, info[kind])
inputs = AutoProcessor.from_pretrained(folder)(text=prompt, images=Image.open(picture), return_tensors="pt")
with torch.no_grad():
    logits = model.eval()(**inputs).logits
    greedy = model.generate(**inputs, do_sample=False, max_new_tokens=12, min_new_tokens=12)
length = inputs["input_ids"].shape[1]
tensors = dict(
    input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"], logits=logits.float(), greedy=greedy[0, length:]
)
save_file({key: value.contiguous() for key, value in tensors.items()}, out)
