"""Writes llava-tiny's weights as LLaVA's own code saves them, by torch.save: whole in two shards (1.5), and as a delta to a
base of fewer tokens with a projector of one layer (1.0): {original-tiny, original-delta, original-base}.

Made with torch 2.13.0:  python test/golden/original_llava.py
"""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

here = Path(__file__).parent
torch.manual_seed(0)
source = load_file(here / "llava-tiny" / "model.safetensors")
text = json.loads((here / "llava-tiny" / "config.json").read_text())["text_config"]


def write(folder, config, shards):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if len(shards) == 1:
        torch.save(shards[0], folder / "pytorch_model.bin")
        return
    names = [f"pytorch_model-{i + 1:05}-of-{len(shards):05}.bin" for i in range(len(shards))]
    for name, shard in zip(names, shards):
        torch.save(shard, folder / name)
    index = {"metadata": {}, "weight_map": {key: name for name, shard in zip(names, shards) for key in shard}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


language = {key.removeprefix("language_model."): value for key, value in source.items() if key.startswith("language_model.")}
projector = {}
for key, value in source.items():
    if key.startswith("multi_modal_projector."):
        step, kind = key.split(".")[1:]
        projector[f"model.mm_projector.{'0' if step == 'linear_1' else '2'}.{kind}"] = value
keep = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act", "bos_token_id", "eos_token_id")
config = {
    **{key: text[key] for key in keep},
    "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", "tie_word_embeddings": False,
    "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_hidden_size": 12, "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch", "mm_use_im_start_end": False, "mm_use_im_patch_token": False,
}
frequencies = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(2) for i in range(text["num_hidden_layers"])}
entries = list({**language, **frequencies}.items())
write(
    here / "original-tiny",
    {**config, "mm_projector_type": "mlp2x_gelu", "image_aspect_ratio": "pad"},
    [dict(entries[:9]), {**dict(entries[9:]), **projector}],
)

base = {key: torch.randn_like(value) for key, value in language.items()}
for key in ("model.embed_tokens.weight", "lm_head.weight"):
    base[key] = base[key][:32].clone()
delta = {key: value.clone() for key, value in language.items()}
for key, value in base.items():
    delta[key][: len(value)] -= value
first = {f"model.mm_projector.{kind}": projector[f"model.mm_projector.0.{kind}"] for kind in ("weight", "bias")}
write(here / "original-delta", config, [{**delta, **first}])
write(here / "original-base", {**{key: text[key] for key in keep}, "model_type": "llama", "vocab_size": 32}, [base])
