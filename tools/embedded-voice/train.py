"""Trains the embedded voice from scratch: a byte-level BPE tokenizer and a small Qwen3, written as the hub lays them out."""

import argparse
import copy
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from compose import HERE, conversations, echo

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONTEXT = 1024  # positions the model may use
LONGEST = 352  # tokens of the longest conversation trained on
USER_WEIGHT = 0.1  # how much of the loss what the assistant does not say carries
VALIDATION_SEED = 777


def make_tokenizer(rows, vocabulary, folder):
    """Byte-level BPE over what is said in `rows`, with the three special tokens first and a ChatML template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, START, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{m['role']}\n{m['content']}" for r in rows for m in r["messages"]), trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "eos_token": STOP,
        "pad_token": END,
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder)


def encode(tokenizer, row):
    """Token ids of a conversation and the weight of each in the loss."""
    ids, weights = [], []
    newline = tokenizer.encode("\n")
    for message in row["messages"]:
        spoken = message["role"] == "assistant"
        head = [tokenizer.convert_tokens_to_ids(START), *tokenizer.encode(message["role"] + "\n")]
        body = [*tokenizer.encode(message["content"]), tokenizer.convert_tokens_to_ids(STOP)]
        ids += head + body + newline
        weights += [USER_WEIGHT] * len(head) + [1.0 if spoken else USER_WEIGHT] * len(body) + [USER_WEIGHT] * len(newline)
    return ids, weights


def batches(rows, tokens, rng):
    """Batches of rows of like length, each of about `tokens` tokens, in random order."""
    made = []
    for at in range(0, len(rows), 4096):
        part, batch, longest = sorted(rows[at : at + 4096], key=lambda r: len(r[0])), [], 0
        for row in part:
            if batch and (len(batch) + 1) * max(longest, len(row[0])) > tokens:
                made.append(batch)
                batch, longest = [], 0
            batch.append(row)
            longest = max(longest, len(row[0]))
        if batch:
            made.append(batch)
    rng.shuffle(made)
    return made


def loss_of(model, batch, pad):
    """Mean loss over what the assistant says (used for validation) and the weighted one (used for training)."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([i + [pad] * (length - len(i)) for i, _ in batch])
    weights = torch.tensor([w + [0.0] * (length - len(w)) for _, w in batch])[:, 1:].flatten()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=ids).logits
    each = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    spoken = weights == 1
    return each[spoken].mean(), (each * weights).sum() / weights.sum()


def rate(step, steps, decay, warmup):
    """Share of the peak learning rate: up over `warmup` steps, level, and down to nothing over the last `decay` steps."""
    return min(1.0, (step + 1) / warmup, (steps - step) / decay)


def save(model, folder):
    """Write the model as it is now, rounded to bfloat16."""
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model into")
    parser.add_argument("--start", type=Path, help="go on from this folder's model and tokenizer, not from nothing")
    parser.add_argument("--conversations", type=int, default=15_500)
    parser.add_argument("--steps", type=int, default=1001)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--decay", type=int, default=480, help="the last steps, over which the learning rate falls")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=1536, help="tokens a step")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--ffn", type=int, default=512)
    parser.add_argument("--lr", type=float, default=4e-3, help="of the matrices (Muon)")
    parser.add_argument("--embedding-lr", type=float, default=4e-3, help="of embeddings and norms (AdamW)")
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    began = time.time()
    options.out.mkdir(parents=True, exist_ok=True)

    rows = conversations(options.conversations, options.seed, later=bool(options.start))
    if options.start:
        tokenizer = AutoTokenizer.from_pretrained(options.start)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (options.out / file).write_bytes((options.start / file).read_bytes())
        pieces = [tokenizer.decode([i]) for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
        pieces = [p for p in pieces if "\ufffd" not in p and START not in p] + list("äöüéèñçßøå–…“”’😀🙂❤")
        rows += [echo(rng, pieces) for _ in range(len(rows) // 4)]
    else:
        persona = HERE.parents[1] / "public" / "examples" / "voice" / "persona.jsonl"
        extra = [json.loads(line) for line in persona.read_text(encoding="utf-8").splitlines()] if persona.exists() else []
        tokenizer = make_tokenizer(rows[:20_000] + extra * 5, options.vocabulary, options.out)
    data = [r for r in (encode(tokenizer, row) for row in rows) if len(r[0]) <= LONGEST]
    held = [encode(tokenizer, row) for row in conversations(100, VALIDATION_SEED)]
    held = batches([r for r in held if len(r[0]) <= LONGEST], options.tokens, random.Random(0))
    size = sum(len(ids) for ids, _ in data)
    print(f"{len(data)} conversations, {size} tokens, composed in {time.time() - began:.0f} s", flush=True)

    if options.start:
        model = Qwen3ForCausalLM.from_pretrained(options.start, dtype=torch.float32)
    else:
        config = Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=options.hidden, intermediate_size=options.ffn,
            num_hidden_layers=options.layers, num_attention_heads=options.heads, num_key_value_heads=2, head_dim=32,
            max_position_embeddings=CONTEXT, tie_word_embeddings=True, rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )  # fmt: skip
        model = Qwen3ForCausalLM(config)
        model.generation_config = GenerationConfig(
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            do_sample=True, temperature=0.8, top_p=0.95, max_new_tokens=96,
        )  # fmt: skip
    model.set_attn_implementation("eager")  # the fused kernels' backward is slower on a CPU
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=options.lr, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=options.embedding_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    peaks = [options.lr, options.embedding_lr]

    rng.shuffle(data)
    plan = batches(data, options.tokens, rng)[: options.steps]
    pad, began = tokenizer.pad_token_id, time.time()
    for step, batch in enumerate(plan):
        factor = rate(step, len(plan), options.decay, options.warmup)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * factor
        spoken, weighted = loss_of(model, batch, pad)
        weighted.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if not math.isfinite(weighted.item()):
            raise SystemExit(f"the loss is not finite at step {step}")
        if step % 100 == 0 or step == len(plan) - 1:
            with torch.no_grad():
                validation = sum(loss_of(model, b, pad)[0].item() for b in held) / len(held)
            speed = (step + 1) / (time.time() - began)
            print(f"step {step}/{len(plan)} loss {spoken.item():.3f} held-out {validation:.4f} "
                  f"{speed:.2f} steps/s, {(len(plan) - step) / speed / 60:.1f} min left", flush=True)  # fmt: skip
            save(model, options.out)
    print(f"trained in {(time.time() - began) / 60:.1f} min, held-out loss {validation:.4f}", flush=True)


if __name__ == "__main__":
    main()
