"""Writes two tiny random language models and what transformers computes for them: qwen2 (biases on q, k and v) and
mistral (a sliding window, heads wider than hidden_size / heads). Each folder gets config.json, model.safetensors and
golden.safetensors: input_ids and labels [2, T], logits, loss, and grad.<parameter> of every parameter. model.gguf holds
the same weights under llama.cpp's names; its `llama` architecture (mistral's too) orders the rows of q and k by pairs.

Made with torch 2.13.0, transformers 5.23.0 and gguf 0.19.0:  python test/golden/tiny_language_models.py
"""
import json
from pathlib import Path

import gguf
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, MistralConfig, Qwen2Config

gguf_names = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def write_gguf(path, architecture, config, parameters):
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in parameters.items():
        array = value.detach().numpy()
        if architecture == "llama" and ("q_proj" in key or "k_proj" in key):
            heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
            # rows i and i + D/2 of a head, which half-split rotation pairs, come to stand side by side
            array = array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
        name, kind = key.rsplit(".", 1)
        if name.startswith("model.layers."):
            _, _, layer, inner = name.split(".", 3)
            name = f"blk.{layer}.{gguf_names[inner]}"
        else:
            name = gguf_names[name]
        writer.add_tensor(f"{name}.{kind}", array.copy())
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


shared = dict(
    vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, attn_implementation="eager", bos_token_id=1, eos_token_id=2,
)
models = {
    "qwen2-tiny": Qwen2Config(**shared, rope_theta=1e6, tie_word_embeddings=True),
    "mistral-tiny": MistralConfig(**shared, head_dim=8, sliding_window=5, tie_word_embeddings=False),
}

torch.set_num_threads(1)
for seed, (name, config) in enumerate(models.items()):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            # biases start at zero and norms at one: neither would be noticed
            spread = torch.randn_like(parameter) * 0.3
            parameter.copy_(1 + spread if "norm" in key else spread)
    ids = torch.randint(3, config.vocab_size, (2, 14))
    labels = ids.clone()
    labels[0, :6] = -100
    labels[1, 9:] = -100
    out = model(input_ids=ids, labels=labels)
    out.loss.backward()
    folder = Path(__file__).parent / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=1) + "\n")
    parameters = dict(model.named_parameters())
    save_file({key: value.detach().clone() for key, value in parameters.items()}, folder / "model.safetensors")
    write_gguf(folder / "model.gguf", "qwen2" if name == "qwen2-tiny" else "llama", config, parameters)
    golden = {"input_ids": ids, "labels": labels, "logits": out.logits.detach(), "loss": out.loss.detach().reshape(1)}
    golden |= {f"grad.{key}": value.grad.clone() for key, value in parameters.items()}
    save_file(golden, folder / "golden.safetensors")
    print(name, out.loss.item(), sum(p.numel() for p in parameters.values()))
