"""One training step in PyTorch: a LLaMA of SmolLM2-135M's shape with random weights, 4 rows of 256 tokens, every weight,
exact global clip at 1.0, AdamW. Prints one line of JSON: seconds of each step, losses, peak resident memory in MB.

--task align: the language model is frozen, a projector learns through 49 picture tokens a row from 30 % of the tokens,
and only those tokens' logits are computed, as ours does (Hugging Face's own loss computes all).
--lora: PEFT's adapters of that rank on all linear layers instead of the weights (pip install peft==0.21.2).

    pip install torch==2.13.0 transformers==5.23.0
    python bench/step.py [--task step|align] [--bf16] [--lora 16] [--threads 2] [--steps 8] [--tiny]
"""
import argparse
import json
import resource
import time

import torch
import transformers

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--bf16", action="store_true", help="forward and loss under bfloat16 autocast, weights in float32")
parser.add_argument("--lora", type=int, help="train adapters of this rank by PEFT")
parser.add_argument("--task", choices=["step", "align"], default="step")
parser.add_argument("--tiny", action="store_true", help="a small model, to try the program itself")
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
shape = dict(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30)
if options.tiny:
    shape = dict(vocab_size=512, hidden_size=576, intermediate_size=96, num_hidden_layers=2)
rows, length = (2, 64) if options.tiny else (4, 256)
config = transformers.LlamaConfig(
    **shape, num_attention_heads=9, num_key_value_heads=3, head_dim=64, max_position_embeddings=8192,
    rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 100000.0}, tie_word_embeddings=True,
    initializer_range=0.02, use_cache=False, attn_implementation="sdpa",
)
model = transformers.LlamaForCausalLM(config).float().train()
align = options.task == "align"
projector = torch.nn.Sequential(torch.nn.Linear(768, 576), torch.nn.GELU(), torch.nn.Linear(576, 576)).float()
if align:
    model.requires_grad_(False)
elif options.lora:
    import peft

    model = peft.get_peft_model(model, peft.LoraConfig(r=options.lora, lora_alpha=2 * options.lora, target_modules="all-linear"))
trained = list(projector.parameters()) if align else [one for one in model.parameters() if one.requires_grad]
# the fused kernel is PyTorch's fastest on a CPU
adamw = torch.optim.AdamW(trained, 1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)
ids = torch.randint(0, shape["vocab_size"], (rows, length))
# of align: features of one picture a row, and which tokens are learned
features = torch.rand(rows, 49, 768) * 2 - 1
learned = torch.zeros(rows, length, dtype=torch.bool)
if length > 50:
    learned[:, 50:] = torch.rand(rows, length - 50) < 0.3 / (1 - 49 / length)


def align_loss():
    embeddings = model.get_input_embeddings()(ids)
    embeddings = torch.cat([projector(features), embeddings[:, 49:]], dim=1)
    hidden = model.model(inputs_embeds=embeddings).last_hidden_state
    # the token before a learned one predicts it
    logits = model.lm_head(hidden[:, :-1][learned[:, 1:]])
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][learned[:, 1:]])


def step_loss():
    return model(input_ids=ids, labels=ids).loss


seconds, losses = [], []
for _ in range(options.steps):
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        loss = align_loss() if align else step_loss()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    adamw.step()
    adamw.zero_grad(set_to_none=True)
    losses.append(loss.item())
    seconds.append(time.perf_counter() - started)

peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"version": torch.__version__, "seconds": seconds, "losses": losses, "peak_mb": peak, "tokens": rows * length}))
