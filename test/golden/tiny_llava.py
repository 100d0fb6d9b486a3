"""Writes tiny random llava models and what transformers computes for them, in the format that `llava parity` reads:
{config.json, model.safetensors, golden.safetensors, golden.json}. Row 0 holds two pictures, row 1 one, row 2 none.
llava-tiny has features of one layer, llava-layers-tiny of two side by side.

Made with torch 2.13.0 and transformers 5.23.0:  python test/golden/tiny_llava.py
"""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

torch.set_num_threads(1)
image, patches = 31, 4


def write(name, layer):
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, image_size=8, patch_size=4,
            projection_dim=12,
        ),
        text_config=LlamaConfig(
            vocab_size=36, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        ),
        image_token_index=image, image_seq_length=patches, vision_feature_layer=layer,
        vision_feature_select_strategy="default", tie_word_embeddings=False,
    )
    folder = Path(__file__).parent / name
    folder.mkdir(exist_ok=True)

    def fresh():
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(config).float().eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                spread = torch.randn_like(parameter) * 0.25
                parameter.copy_(1 + spread if "norm" in key and key.endswith("weight") else spread)
        return model

    model = fresh()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    names = list(load_file(folder / "model.safetensors"))

    pixels = torch.randn(3, 3, 8, 8)
    ids = torch.randint(3, 30, (3, 28))
    ids[0, 2 : 2 + patches] = image
    ids[0, 2 + patches : 2 + 2 * patches] = image
    ids[1, 5 : 5 + patches] = image
    labels = ids.clone()
    labels[ids == image] = -100
    labels[0, :14] = -100
    labels[1, 20:] = -100
    batch = dict(input_ids=ids, pixel_values=pixels, labels=labels)

    out = model(**batch)
    out.loss.backward()
    base = model.model
    states = base.vision_tower(pixels, output_hidden_states=True).hidden_states
    tower = torch.cat([states[at][:, 1:] for at in ([layer] if isinstance(layer, int) else layer)], -1)
    with torch.no_grad():
        # ids one by one, so that nothing of generate()'s settings (end tokens, length) plays a part
        ids_so_far = ids[:1, :24]
        for _ in range(6):
            logits = model(input_ids=ids_so_far, pixel_values=pixels[:2]).logits[0, -1]
            ids_so_far = torch.cat([ids_so_far, logits.argmax().view(1, 1)], 1)
    golden = {
        "pixel_values": pixels, "input_ids": ids, "labels": labels, "tower_features": tower.detach(),
        "projected": base.multi_modal_projector(tower).detach(), "logits": out.logits.detach(),
        "loss": out.loss.detach().reshape(1), "greedy": ids_so_far[0, 24:],
    }
    # names as saved: `model.language_model.…` in memory is `language_model.model.…` in the file
    for key, parameter in model.named_parameters():
        saved = key.removeprefix("model.")
        if saved.startswith("language_model."):
            saved = "language_model.model." + saved.removeprefix("language_model.")
        if saved.startswith("lm_head."):
            saved = "language_model." + saved
        if saved not in names:
            saved = saved.replace("vision_tower.", "vision_tower.vision_model.")
        assert saved in names, (saved, names)
        golden[f"grad.{saved}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
    save_file({key: value.contiguous() for key, value in golden.items()}, folder / "golden.safetensors")

    def curve(trained, learning_rate):
        model = fresh()
        for key, parameter in model.named_parameters():
            parameter.requires_grad = any(part in key for part in trained)
        adamw = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad], learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0
        )
        losses = []
        for _ in range(4):
            loss = model(**batch).loss
            losses.append(loss.item())
            adamw.zero_grad()
            loss.backward()
            adamw.step()
        return losses

    curves = {
        "align": curve(["multi_modal_projector"], 1e-2),
        "instruct": curve(["multi_modal_projector", "language_model", "lm_head"], 1e-3),
    }
    (folder / "golden.json").write_text(json.dumps({"loss": out.loss.item(), "curves": curves}, indent=1) + "\n")
    print(curves, ids_so_far[0, 24:].tolist())


write("llava-tiny", -2)
write("llava-layers-tiny", [-1, 1])
