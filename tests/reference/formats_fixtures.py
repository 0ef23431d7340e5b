"""Writes the fixtures of tests/fixtures/formats anew: small tokenizers with the ids that transformers gives, chat templates with
its renderings, learning rates of its schedules, PEFT's choice of target modules and a saved adapter, and torch's
rounding to bfloat16 and half.

    python tests/reference/formats_fixtures.py

Needs torch, transformers 5.18, peft 0.21, tokenizers, safetensors. Nothing is downloaded.
"""

import json
import random
import shutil
import struct
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, get_scheduler

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
TOKENIZERS = FIXTURES / "tokenizers"
FORMATS = FIXTURES / "formats"

NOUNS = "the old furnace|a quiet garden|my brother|the red kettle|our teacher|a heavy coat|the last train|some bread".split("|")
VERBS = "stood by|looked at|forgot|was looking for|could not find|laughed about|waited for|painted".split("|")
ENDS = "in the morning.|again!|without a word.|and went home?|, didn't it?|; we'll see.|1,250 times.|on 24 May 2021.".split("|")

PROBES = [
    "Hello world", " leading space", "trailing space ", "two  spaces   three", "tabs\tand\nnewlines\n\n\nthree",
    "It's John's; we'll see, they've DON'T", "1234567890 3.14159 1,000,000", "naïve café résumé — “quotes” … ellipsis",
    "日本語のテキストです。", "中文字符", "한국어 문장", "مرحبا بالعالم", "שלום", "Привет, мир!", "😀😃👩‍👩‍👧‍👦🏳️‍🌈",
    "a\u0301 e\u0301 combining", "ﬁ ligature Ⅷ ½", "\u200bzero\u200dwidth\ufeff", "∑∫√≠≤≥", "x=1;if(x>0){y+=2;}\n\treturn y;",
    "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>after", "<s>hi</s>", "<s> hi", "before <s>", "<unk>", "   ", "\n", " ",
    "\r\n windows", "\u00a0nbsp\u2003em", "a" * 50, "_a_ *b* `c`", "https://example.org/a?b=c&d=%20", "ß ẞ İ ı", "हिन्दी पाठ",
    "\x00nul\x07bell", "\ufffd replacement", "▁already marked",
]


def corpus(rng):
    return [f"{rng.choice(NOUNS)} {rng.choice(VERBS)} {rng.choice(NOUNS)} {rng.choice(ENDS)}" for _ in range(400)]


def probes(rng):
    letters = list("abc xyz the XYZ   \n\t.,!?'012éüß漢字かな한😀🎉—“…\u200d\u0301")
    return PROBES + ["".join(rng.choice(letters) for _ in range(rng.randint(1, 30))) for _ in range(200)]


def byte_level():
    """GPT-2's kind: bytes, a split expression, special tokens; NFC as in Qwen."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(random.Random(1)), trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False), AddedToken("</think>", special=False, normalized=False)])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "add_bos_token": False}
    return tokenizer, config


def byte_fallback(within_words):
    """Llama 2's kind: spaces as ▁, bytes where a character is unknown, a beginning-of-text token. Real ones hold no token
    that reaches from one word into the next; without within_words this one does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False)
    if within_words:
        tokenizer.normalizer = None
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(corpus(random.Random(2)), trainer)
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    # The trainer marks the byte tokens as special; in real models only the three first are.
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(data)), {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def write_tokenizer(name, tokenizer, config):
    folder = TOKENIZERS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    reference = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in probes(random.Random(3)):
        ids = reference(text)["input_ids"]
        bare = reference(text, add_special_tokens=False)["input_ids"]
        rows.append({
            "text": text, "ids": ids, "bare": bare,
            "decoded": reference.decode(ids), "plain": reference.decode(bare, skip_special_tokens=True),
        })
    expected = {"bos": reference.bos_token_id, "eos": reference.eos_token_id, "pad": reference.pad_token_id, "rows": rows}
    (folder / "expected.json").write_text(json.dumps(expected))


# Templates in the manner of well-known families, in our own words.
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Only the answer to the last question shows a <think> block, an empty one where there was no thought.
THINKING = """
{%- set ns = namespace(last=-1) %}
{%- for m in messages %}
    {%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {%- set answer = m.content.split('</think>')[-1].lstrip('\\n') %}
        {%- set thought = '' %}
        {%- if '</think>' in m.content %}
            {%- set thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought + '\\n</think>\\n\\n' + answer + '<|im_end|>\\n' }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + answer + '<|im_end|>\\n' }}
        {%- endif %}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
HEADERS = (
    "{{- bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
# No system role, strictly alternating, the assistant is called model.
TURNS = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
# No line breaks, and a closing token at the end of everything unless an answer is wanted.
BARS = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)
# Plain brackets around the user's words; the answer ends with the end-of-text token.
BRACKETS = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MARKED = """{% for m in messages %}
{%- if m['role'] == 'assistant' %}
{{- '<|im_start|>assistant\\n' -}}
{% generation %}
{{- m['content'] + '<|im_end|>' -}}
{% endgeneration %}
{{- '\\n' }}
{%- else %}
{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

FAMILIES = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"], {"eos_token": "<|im_end|>"}),
    "thinking": (THINKING, ["<|im_start|>", "<|im_end|>", "<think>", "</think>"], {"eos_token": "<|im_end|>"}),
    "headers": (HEADERS, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<s>"], {"bos_token": "<s>", "eos_token": "<|eot_id|>"}),
    "turns": (TURNS, ["<start_of_turn>", "<end_of_turn>", "<s>", "</s>"], {"bos_token": "<s>", "eos_token": "</s>"}),
    "bars": (BARS, ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"], {"eos_token": "<|endoftext|>"}),
    "brackets": (BRACKETS, ["<s>", "</s>"], {"bos_token": "<s>", "eos_token": "</s>"}),
    "marked": (MARKED, ["<|im_start|>", "<|im_end|>"], {"eos_token": "<|im_end|>"}),
}

user = lambda text: {"role": "user", "content": text}
assistant = lambda text: {"role": "assistant", "content": text}
CONVERSATIONS = {
    "one": [user("Hello there"), assistant("Good morning!")],
    "two": [user("Who are you?"), assistant("A furnace."), user("And hot?"), assistant("Very hot, indeed.\n\nTruly.")],
    "tricky": [user("user"), assistant("user"), user("think"), assistant("think")],
    "spaces": [user("  hi "), assistant(" well \n"), user("\nso"), assistant("\n\nyes  ")],
    "thought": [user("1+1?"), assistant("<think>\neasy\n</think>\n\n2"), user("2+2?"), assistant("<think>\nhm\n</think>\n\n4")],
    "empty": [user("say nothing"), assistant("")],
}


def templates():
    tokenizer, config = byte_level()
    out = {}
    for family, (template, tokens, special) in FAMILIES.items():
        folder = FIXTURES / "templates-work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        variant = Tokenizer.from_str(tokenizer.to_str())
        variant.add_special_tokens(tokens)
        variant.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": config["tokenizer_class"], "chat_template": template, **special})
        )
        reference = AutoTokenizer.from_pretrained(folder)
        cases = []
        for name, messages in CONVERSATIONS.items():
            text = reference.apply_chat_template(messages, tokenize=False)
            case = {
                "name": name, "messages": messages, "text": text,
                "prompt": reference.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True),
                "ids": reference.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"],
            }
            if family == "marked":
                encoded = reference.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
                case["mask"] = encoded["assistant_masks"]
            cases.append(case)
        out[family] = {"template": template, "tokens": tokens, "special": special, "cases": cases}
        shutil.rmtree(folder)
    (FORMATS / "templates.json").write_text(json.dumps(out))


def schedules():
    cases = []
    for kind in ["constant", "constant_with_warmup", "linear", "cosine"]:
        for warmup, total in [(0, 7), (3, 10), (5, 5), (1, 1), (10, 4), (20, 100)]:
            optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
            scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=total)
            rates = []
            for _ in range(total):
                rates.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                scheduler.step()
            cases.append({"lr_scheduler_type": kind, "warmup_steps": warmup, "totalSteps": total, "learning_rate": 3e-4, "rates": rates})
    (FORMATS / "schedules.json").write_text(json.dumps(cases))


def tiny_llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=40, hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=3,
        num_key_value_heads=1, tie_word_embeddings=False,
    ))


TARGETS = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": "all-linear"},
    {"target_modules": ["proj"]},
    {"target_modules": ["self_attn.q_proj", "model.layers.1.mlp.up_proj", "down_proj"]},
    {"target_modules": r".*\.(q|v)_proj$"},
    {"target_modules": r"model\.layers\.[02]\.mlp\..*_proj"},
    {"target_modules": r"q_proj"},
    {"target_modules": r"(?P<a>.*)\.o_proj"},
    {"target_modules": ["q_proj", "k_proj"], "layers_to_transform": 1},
    {"target_modules": ["q_proj", "model.layers.0.mlp.up_proj"], "layers_to_transform": [0, 2], "layers_pattern": "layers"},
    {"target_modules": ["q_proj", "k_proj", "up_proj"], "exclude_modules": ["k_proj"]},
    {"target_modules": "all-linear", "exclude_modules": r".*\.mlp\..*_proj"},
    {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.self_attn.v_proj": 5}},
    {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"layers.0.self_attn.q_proj": 3, r".*q_proj": 6, "proj": 1}},
    {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {r"model.layers.\d+.self_attn.v_proj": 7, "v_proj|q_proj": 5}, "use_rslora": True},
    {"target_modules": ["q_proj"], "rank_pattern": {"^model.layers.2.self_attn.q_proj": 9}, "alpha_pattern": {"attn.q_proj": 9}},
    {"target_modules": ["embed_tokens"]},
    {"target_modules": ["norm"]},
    {"target_modules": ["nothing"]},
]


def peft_cases():
    model = tiny_llama()
    modules = []
    for name, module in model.named_modules():
        kind = {"Linear": "linear", "Embedding": "embedding"}.get(type(module).__name__, "other")
        if name == "lm_head":
            kind = "output"
        if kind == "other" and not name.endswith("norm"):
            continue
        modules.append({
            "name": name, "kind": kind,
            "inFeatures": getattr(module, "in_features", 0), "outFeatures": getattr(module, "out_features", 0),
        })
    cases = []
    for given in TARGETS:
        try:
            peft = get_peft_model(tiny_llama(), LoraConfig(r=4, lora_alpha=6, **given))
        except ValueError:
            cases.append({"config": given, "targets": None})
            continue
        found = {}
        for name, module in peft.base_model.model.named_modules():
            if hasattr(module, "lora_A") and len(module.lora_A):
                found[name] = {"r": module.r["default"], "scale": module.scaling["default"]}
            elif hasattr(module, "lora_embedding_A") and len(module.lora_embedding_A):
                found = None
                break
        cases.append({"config": given, "targets": found})
    (FORMATS / "targets.json").write_text(json.dumps({"modules": modules, "cases": cases}))

    folder = FORMATS / "adapter"
    shutil.rmtree(folder, ignore_errors=True)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"], rank_pattern={"layers.1.self_attn.q_proj": 2},
        use_dora=True, task_type="CAUSAL_LM",
    )
    peft = get_peft_model(tiny_llama(), config)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in peft.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    peft.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    sums = {
        name: [float(value.double().sum()), list(value.shape)]
        for name, value in peft.state_dict().items() if "lora_" in name
    }
    (folder / "expected.json").write_text(json.dumps(sums))


def floats():
    rng = random.Random(4)
    bits = [rng.getrandbits(32) for _ in range(300)]
    bits += [0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x007FFFFF, 0x00800000, 0x3F800000]
    # Around the edges of half's range, its subnormals, and ties.
    for value in [65504, 65519.99, 65520, 65536, 2**-14, 2**-24, 2**-25, 1.5 * 2**-24, 2.5 * 2**-24, 6.1e-5, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8]:
        for nudge in (-1, 0, 1):
            bits.append(struct.unpack("<I", struct.pack("<f", value))[0] + nudge)
    bits += [rng.randrange(0x33000000, 0x47FFFFFF) for _ in range(300)]
    values = torch.tensor([b - 2**32 if b >= 2**31 else b for b in bits], dtype=torch.int32).view(torch.float32)
    out = {
        "f32": bits,
        "bf16": [b & 0xFFFF for b in values.to(torch.bfloat16).view(torch.int16).tolist()],
        "f16": [b & 0xFFFF for b in values.to(torch.float16).view(torch.int16).tolist()],
    }
    (FORMATS / "floats.json").write_text(json.dumps(out))


if __name__ == "__main__":
    FORMATS.mkdir(parents=True, exist_ok=True)
    write_tokenizer("byte-level", *byte_level())
    llama = {"tokenizer_class": "LlamaTokenizerFast", "legacy": True}
    tokenizer, config = byte_fallback(within_words=False)
    write_tokenizer("byte-fallback", tokenizer, config)
    write_tokenizer("byte-fallback-llama", tokenizer, {**config, **llama})
    tokenizer, config = byte_fallback(within_words=True)
    write_tokenizer("words", tokenizer, config)
    write_tokenizer("words-llama", tokenizer, {**config, **llama, "legacy": False})
    templates()
    schedules()
    peft_cases()
    floats()
