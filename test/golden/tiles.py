"""Writes tiles.safetensors: random pictures and the views that transformers' LlavaNextImageProcessorPil makes of them,
with every grid of at most four tiles of 8×8 pixels.

Made with transformers 5.23.0 and Pillow:  python test/golden/tiles.py
"""
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

side, most = 8, 4
grids = [[r * side, c * side] for r in range(1, most + 1) for c in range(1, most + 1) if r * c <= most]
processor = LlavaNextImageProcessorPil(
    size={"shortest_edge": side}, crop_size={"height": side, "width": side}, image_grid_pinpoints=grids
)
draw = np.random.default_rng(0)
entries = {}
for i, (width, height) in enumerate([(20, 13), (9, 30), (6, 5), (16, 16), (40, 9), (100, 75)]):
    pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    views = processor.preprocess(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    # a grid of one is the whole once more, which we leave out
    views = views[:1] if len(views) == 2 else views
    entries[f"pixels.{i}"] = pixels
    entries[f"views.{i}"] = np.ascontiguousarray(views, dtype=np.float32)
    print(width, height, views.shape)
save_file(entries, Path(__file__).parent / "tiles.safetensors")
