"""Makes golden.json: what Pillow and transformers' Pillow-backed image processors compute.

Needs Pillow 13, numpy, transformers 5; photo hashes also need the folder of photos:
    python src/image/golden/make.py ../shared/data/coco/photos
"""
import base64
import hashlib
import json
import os
import sys

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

FILTERS = {"lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
# width, height -> width, height: down, up, one side only, odd, 1-pixel sides, tall (filtered down first), many rows
RESIZES = [
    (64, 48, 11, 11), (5, 7, 12, 9), (9, 1, 13, 2), (1, 9, 3, 4), (2, 2, 1, 1), (23, 21, 23, 8), (33, 11, 8, 11),
    (7, 300, 9, 11), (150, 3, 6, 16), (30, 61, 23, 17), (18, 20, 19, 18), (12, 12, 12, 12),
]
PROCESSORS = {
    "clip": CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}),
    "clip, larger edge than crop": CLIPImageProcessorPil(size={"shortest_edge": 11}, crop_size=8),
    "clip, smaller edge than crop": CLIPImageProcessorPil(size={"shortest_edge": 6}, crop_size={"height": 11, "width": 8}),
    "clip, no resize": CLIPImageProcessorPil(do_resize=False, crop_size=13),
    "siglip": SiglipImageProcessorPil(size={"height": 8, "width": 8}),
    "vit": ViTImageProcessorPil(size={"height": 7, "width": 10}),
    "vit, bytes to 0-1 by Lanczos": ViTImageProcessorPil(size={"height": 8, "width": 8}, resample=1, do_normalize=False),
    "vit, not rescaled": ViTImageProcessorPil(size={"height": 8, "width": 8}, do_rescale=False),
    "llava, padded": LlavaImageProcessorPil(size={"shortest_edge": 8}, crop_size=8, do_pad=True),
}
INPUTS = [(31, 22), (18, 37), (40, 3)]
PHOTO_PROCESSORS = {
    "clip": CLIPImageProcessorPil(),
    "siglip": SiglipImageProcessorPil(),
    "vit": ViTImageProcessorPil(),
    "llava, padded": LlavaImageProcessorPil(do_pad=True),
}


def picture(width, height):
    """The bytes that noise() in golden.ts makes: a linear congruential generator, every fourth pixel black or white."""
    state, out = width * 1000 + height, []
    for i in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        value = state >> 24
        out.append((255 if value > 127 else 0) if (i // 3) % 4 == 0 else value)
    return Image.fromarray(np.array(out, dtype=np.uint8).reshape(height, width, 3))


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def values(processor, image):
    return processor(image, return_tensors="np")["pixel_values"][0].astype("<f4")


def photos(folder):
    names = sorted(os.listdir(folder))
    for name in [names[i] for i in range(0, len(names), len(names) // 5)][:5]:
        image = Image.open(os.path.join(folder, name)).convert("RGB")
        for key, processor in PHOTO_PROCESSORS.items():
            digest = hashlib.sha256(np.ascontiguousarray(values(processor, image)).tobytes()).hexdigest()
            yield {"photo": name, "processor": key, "sha256": digest}


golden = {
    "resizes": [
        {"from": [w, h], "to": [W, H], "filter": name, "data": text(picture(w, h).resize((W, H), code))}
        for (w, h, W, H) in RESIZES
        for name, code in FILTERS.items()
    ],
    "configs": [{"name": key, "config": json.loads(p.to_json_string())} for key, p in PROCESSORS.items()],
    "values": [
        {"processor": key, "from": list(size), "data": text(values(p, picture(*size)))}
        for key, p in PROCESSORS.items()
        for size in INPUTS
    ],
    "photoConfigs": [{"name": key, "config": json.loads(p.to_json_string())} for key, p in PHOTO_PROCESSORS.items()],
    "photos": list(photos(sys.argv[1])) if len(sys.argv) > 1 else [],
}
with open(os.path.join(os.path.dirname(__file__), "golden.json"), "w", encoding="utf-8") as file:
    parts = [f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for key, rows in golden.items()]
    file.write("{\n" + ",\n".join(parts) + "\n}\n")
