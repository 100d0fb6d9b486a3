"""Writes muon.safetensors: four steps of torch.optim.Muon on a tall, a wide and a square matrix, with the update sized as
AdamW's (adjust_lr_fn="match_rms_adamw"). For each shape: start, gradient.0…3, float32.0…3 (the weights after each step,
iterated in float32) and bfloat16.0…3 (as PyTorch ships it: the iteration in bfloat16).

Made with torch 2.13.0:  python test/golden/muon.py
"""
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(0)
shipped = torch.Tensor.bfloat16
tensors = {}
for name, shape in {"tall": (40, 12), "wide": (12, 20), "square": (16, 16)}.items():
    start = torch.randn(shape) * 0.1
    # directions of unequal strength, as gradients have
    fall = torch.logspace(0, -1, min(shape))
    gradients = [torch.randn(shape[0], len(fall)) * fall @ torch.randn(len(fall), shape[1]) for _ in range(4)]
    tensors[f"{name}.start"] = start
    for i, gradient in enumerate(gradients):
        tensors[f"{name}.gradient.{i}"] = gradient
    for precision, cast in {"float32": torch.Tensor.clone, "bfloat16": shipped}.items():
        torch.Tensor.bfloat16 = cast
        weight = torch.nn.Parameter(start.clone())
        muon = torch.optim.Muon([weight], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
        for i, gradient in enumerate(gradients):
            weight.grad = gradient.clone()
            muon.step()
            tensors[f"{name}.{precision}.{i}"] = weight.detach().clone()
save_file(tensors, Path(__file__).parent / "muon.safetensors")
