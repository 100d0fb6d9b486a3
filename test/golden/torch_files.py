"""Writes small files of torch.save, and what is in them: torch-tiny.bin and .json, torch-training.bin, torch-hostile.bin.

Made with torch 2.13.0:  python test/golden/torch_files.py
"""
import json
from collections import OrderedDict
from pathlib import Path

import torch

torch.manual_seed(0)
folder = Path(__file__).parent
base = torch.randn(4, 6)
tensors = OrderedDict(
    plain=torch.randn(3, 5),
    half=torch.randn(7).half(),
    brain=torch.randn(2, 2, 2).bfloat16(),
    double=torch.randn(3).double(),
    transposed=base.t(),
    row=base[2],
    columns=base[:, 1:3],
    parameter=torch.nn.Parameter(torch.randn(2)),
    scalar=torch.tensor(1.5),
    empty=torch.empty(0, 4),
    counts=torch.tensor([1, 2, 3]),
)
torch.save(tensors, folder / "torch-tiny.bin")
values = {key: value.detach().float().flatten().tolist() for key, value in tensors.items()}
shapes = {key: list(value.shape) for key, value in tensors.items()}
(folder / "torch-tiny.json").write_text(json.dumps({"shapes": shapes, "values": values}) + "\n")

# as training scripts save: dicts in dicts, numbers as keys, and what is no tensor
state = {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 2)}}
optimizer = {"state": state, "param_groups": [{"lr": 0.1, "params": [0]}]}
training = {"epoch": 3, "model": OrderedDict(weight=torch.randn(2, 2).half()), "optimizer": optimizer}
torch.save(training, folder / "torch-training.bin")


class Hostile:
    def __reduce__(self):
        return print, ("executed",)


torch.save({"weight": torch.zeros(2), "trap": Hostile()}, folder / "torch-hostile.bin")
