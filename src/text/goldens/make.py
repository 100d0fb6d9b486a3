"""Makes this folder: three tiny tokenizers, and what Hugging Face's tokenizers and transformers give for them.

    python make.py [folder with the lab's models]

Made with tokenizers 0.23.3 and transformers 5.23.
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

here = os.path.dirname(os.path.abspath(__file__))
text = [
    "A small dog sits on the red sofa next to a cat.",
    "What is in the picture? There are two dogs and one cat, I think.",
    "USER: how many birds are there? ASSISTANT: There are three birds.",
    "You are a helpful assistant. Answer the questions about the picture.",
    "It's a café near the river; the café doesn't open before 10.",
] * 4


def special(*tokens):
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def byte_level():
    """Byte-level BPE as GPT-2's: no BOS; ChatML's tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    controls = special("</s>", "<|im_start|>", "<|im_end|>", "<image>")
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=330, special_tokens=controls, initial_alphabet=alphabet, show_progress=False))
    return tokenizer, {"eos_token": "</s>"}


def pieces(scheme):
    """SentencePiece-style BPE with byte fallback as Llama's: BOS, and a space before the first text or before every one."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    # trained on words, so that no piece crosses a space, as SentencePiece does; used on whole texts, as Llama's is
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    controls = special("<unk>", "<s>", "</s>", "<image>")
    fallback = special(*(f"<0x{byte:02X}>" for byte in range(256)))
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=380, special_tokens=controls + fallback, show_progress=False))
    made = json.loads(tokenizer.to_str())
    made["pre_tokenizer"]["split"] = False
    made["added_tokens"] = made["added_tokens"][: len(controls)]
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    return Tokenizer.from_str(json.dumps(made)), config


def words():
    """Whole words, control tokens among them in the vocabulary itself."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(text, trainers.WordLevelTrainer(special_tokens=special("<unk>", "<s>", "</s>"), show_progress=False))
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def sample_strings():
    random.seed(5)
    bits = (
        "the dog cat USER: don't I'll 2026 12,345.67 x=y+1; https://a.b/c?d naïve café 日本語 🙂🏽 👨‍👩‍👧 ½ ² ٣ Ⅷ e\u0301 İ "
        "\u200b \ufeff \x85 \u00a0 \u3000 \u2028 <0x0A> ▁ Ġ \x00 \x1c \x0b ,.!? ' ` ~"
    ).split(" ")
    spaces = [" ", "  ", "   ", "\n", "\n\n", "\t", " \n ", "\r\n", "", ""]
    strings = ["", " ", "  ", "\n", "a", " a", "a ", "Once upon a time"]
    for _ in range(70):
        strings.append("".join(random.choice(bits) + random.choice(spaces) for _ in range(random.randint(1, 8))))
    blocks = [(32, 126), (0x80, 0x2FFF), (0x3000, 0x9FFF), (0x1F300, 0x1FAFF), (0, 31)]
    for _ in range(20):
        strings.append("".join(chr(random.randint(*random.choice(blocks))) for _ in range(random.randint(1, 12))))
    return strings


def marked_strings():
    """Control tokens among text, as a rendered template has them; ‹ and › stand for BOS and EOS."""
    random.seed(6)
    bits = ["›", "‹", " hello", "x y", "\n", "‹ a ", " b", "12", "››", "user\nHi"]
    return [[random.choice(bits) for _ in range(6)] for _ in range(25)]


# Q1 Q2 A1 A2 stand for words, ‹ and › for BOS and EOS, ▣ for a picture
conversations = {
    "vicuna_v1": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: ▣\nQ1 ASSISTANT: A1›USER: Q2 ASSISTANT: A2›",
    "llava_llama_2": "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand the visual content "
    "that the user provides, and assist the user with a variety of tasks using natural language.\n<</SYS>>\n\n▣\nQ1 [/INST] A1 ›‹"
    "[INST] Q2 [/INST] A2 ›",
    "mistral": "[INST] ▣\nQ1 [/INST] A1 ›[INST] Q2 [/INST] A2 ›",
    "chatml": "<|im_start|>user\n▣\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
    "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\nA2<|im_end|>\n",
    "chatml_direct": "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n▣\nQ1<|im_end|><|im_start|>assistant\nA1<|im_end|>"
    "<|im_start|>user\nQ2<|im_end|><|im_start|>assistant\nA2<|im_end|>",
}
said = {"Q1": "What is in the picture?", "A1": "A small dog, on a sofa.", "Q2": "How many dogs?", "A2": "1 dog."}

# chat templates in the shapes that published models use
jinja = {
    "default system": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "trims, raises on system": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '[' + role + ']\n' + m['content'] | trim + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '[model]\n' }}{% endif %}",
    "system inside the question": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}{% else %}{% set loop_messages = messages %}{% set system = '' %}"
    "{% endif %}{% for m in loop_messages %}{% if loop.index0 == 0 %}{% set content = system + m['content'] %}{% else %}"
    "{% set content = m['content'] %}{% endif %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "drops the system message": "{{ bos_token }}{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}USER: {{ m.content }} "
    "{% else %}ASSISTANT: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}",
}


def marked(config, string):
    return string.replace("‹", config.get("bos_token", "")).replace("›", config["eos_token"])


def main():
    tokenizers = {"bytes": byte_level(), "pieces_first": pieces("first"), "pieces_always": pieces("always"), "words": words()}
    for name, (tokenizer, config) in tokenizers.items():
        files = {"tokenizer": json.loads(tokenizer.to_str()), "config": config}
        with open(f"{here}/{name}.json", "w") as file:
            json.dump(files, file, ensure_ascii=False, separators=(",", ":"))
    if len(sys.argv) > 1:
        for name in ("smollm2-135m-instruct", "tinystories-656k-llama"):
            loaded = json.load(open(f"{sys.argv[1]}/{name}/tokenizer.json"))
            for token in loaded["added_tokens"]:
                token["normalized"] = False
            config = json.load(open(f"{sys.argv[1]}/{name}/tokenizer_config.json"))
            tokenizers[name] = (Tokenizer.from_str(json.dumps(loaded)), config)

    strings = sample_strings()
    golden = {"strings": strings, "said": said, "jinja": jinja, "tokenizers": {}}
    for name, (tokenizer, config) in tokenizers.items():
        # what text alone gives: a tokenizer that knows no control token
        bare = json.loads(tokenizer.to_str())
        bare["added_tokens"] = []
        plain = Tokenizer.from_str(json.dumps(bare))

        def ids(string):
            return tokenizer.encode(string, add_special_tokens=False).ids

        encoded = [plain.encode(string, add_special_tokens=False).ids for string in strings]
        entry = golden["tokenizers"][name] = {"plain": encoded}
        decoded = [tokenizer.decode(row, skip_special_tokens=False) for row in encoded]
        entry["decoded"] = {str(i): row for i, row in enumerate(decoded) if row != strings[i]}
        entry["marked"] = [[string, ids(string)] for string in (marked(config, "".join(bits)) for bits in marked_strings())]
        if name == "words":
            continue
        entry["conversations"] = {}
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{k: config[k] for k in ("bos_token", "eos_token") if k in config})
        for template, string in conversations.items():
            if "im_start" in string and tokenizer.token_to_id("<|im_start|>") is None:
                continue
            add_bos = config.get("add_bos_token", False)
            string = string.replace("‹", config["bos_token"] if add_bos else "").replace("›", config["eos_token"])
            for key, value in said.items():
                string = string.replace(key, value)
            row = []
            for i, chunk in enumerate(string.split("▣")):
                # a picture counts as a control token: what follows is not the first text
                after_control = ids(config["eos_token"] + chunk)[1:]
                row += ids(chunk) if i == 0 else [-200] + after_control
            bos = [tokenizer.token_to_id(config["bos_token"])] if add_bos else []
            entry["conversations"][template] = bos + row
        entry["jinja"] = {}
        messages = [{"role": role, "content": said[key]} for role, key in zip(["user", "assistant"] * 2, ["Q1", "A1", "Q2", "A2"])]
        for shape, source in jinja.items():
            if ("im_start" in source and tokenizer.token_to_id("<|im_start|>") is None) or ("bos_token" in source and "bos_token" not in config):
                continue
            fast.chat_template = source
            rows = [fast.apply_chat_template(messages[:3], add_generation_prompt=True), fast.apply_chat_template(messages)]
            entry["jinja"][shape] = [row["input_ids"] if not isinstance(row, list) else row for row in rows]
    with open(f"{here}/golden.json", "w") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))


main()
