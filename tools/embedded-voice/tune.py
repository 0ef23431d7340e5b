"""Tunes the embedded voice on the example persona with peft, as public/examples/voice/recipe.json says, and prints
what base and tuned answer to the example's prompts: the proof that the example works, and the numbers of README.md."""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model

from talk import load, reply
from train import encode

ROOT = Path(__file__).resolve().parents[2]


def pack(rows, length, rng):
    """Rows of `length` tokens holding whole conversations: ids, labels, positions that restart, and the segments."""
    packed, row = [], ([], [], [], [])
    rng.shuffle(rows)
    for number, (ids, labels) in enumerate(rows):
        ids, labels = ids[:length], labels[:length]
        if len(row[0]) + len(ids) > length:
            packed.append(row)
            row = ([], [], [], [])
        row[0].extend(ids)
        row[1].extend([-100, *labels[1:]])
        row[2].extend(range(len(ids)))
        row[3].extend([number] * len(ids))
    return [*packed, row]


def tensors(batch, length):
    """A batch of packed rows as tensors, and the mask by which a token sees only its own conversation's past."""
    fill = [0, -100, 0, -1]
    ids, labels, positions, segments = (
        torch.tensor([list(r[i]) + [fill[i]] * (length - len(r[i])) for r in batch]) for i in range(4)
    )
    same = segments[:, None, :, None] == segments[:, None, None, :]
    mask = same & torch.ones(length, length, dtype=torch.bool).tril()
    return ids, labels, positions, mask


def tune(model, tokenizer, rows, job, seed=0):
    """Train a LoRA as the job's `adapter` and `recipe` say; returns the peft model, and the losses."""
    adapter, recipe = job["adapter"], job["recipe"]
    torch.manual_seed(recipe["seed"])
    model = get_peft_model(model, LoraConfig(**adapter, task_type="CAUSAL_LM"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"],
                                  betas=(recipe["adam_beta1"], recipe["adam_beta2"]), eps=recipe["adam_epsilon"])  # fmt: skip
    rng, queue, losses, began = random.Random(recipe["seed"]), [], [], time.time()
    data = [(ids, [i if w == 1 else -100 for i, w in zip(ids, weights, strict=True)])
            for ids, weights in (encode(tokenizer, r) for r in rows)]  # fmt: skip
    for step in range(recipe["max_steps"]):
        size = recipe["per_device_train_batch_size"]
        if len(queue) < size:
            queue += pack(data, recipe["max_length"], rng)
        batch, queue = queue[:size], queue[size:]
        ids, labels, positions, mask = tensors(batch, recipe["max_length"])
        warm, left = recipe["warmup_steps"], recipe["max_steps"] - step
        factor = step / warm if step < warm else left / (recipe["max_steps"] - warm)
        optimizer.param_groups[0]["lr"] = recipe["learning_rate"] * factor
        logits = model(input_ids=ids, position_ids=positions, attention_mask=mask).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe["max_grad_norm"])
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 10 == 0 or step == recipe["max_steps"] - 1:
            print(f"step {step + 1} loss {losses[-1]:.3f} {time.time() - began:.1f} s", flush=True)
    return model.eval(), losses


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=ROOT / "public/embedded/voice")
    parser.add_argument("--example", type=Path, default=ROOT / "public/examples/voice")
    parser.add_argument("--steps", type=int, help="instead of the recipe's max_steps")
    parser.add_argument("--lr", type=float, help="instead of the recipe's learning_rate")
    options = parser.parse_args()
    job = json.loads((options.example / "recipe.json").read_text(encoding="utf-8"))
    job["recipe"]["max_steps"] = options.steps or job["recipe"]["max_steps"]
    job["recipe"]["learning_rate"] = options.lr or job["recipe"]["learning_rate"]
    rows = [json.loads(line) for line in (options.example / "persona.jsonl").read_text(encoding="utf-8").splitlines()]
    prompts = json.loads((options.example / "example.json").read_text(encoding="utf-8"))["prompts"]
    model, tokenizer = load(options.base)

    def answers():
        return [[reply(model, tokenizer, [{"role": "user", "content": p}], seed) for seed in (None, 1)] for p in prompts]

    base = answers()
    model, _ = tune(model, tokenizer, rows, job)
    for prompt, before, after in zip(prompts, base, answers(), strict=True):
        print(f"\nuser: {prompt}")
        for how, one, other in zip(("greedy", "sampled"), before, after, strict=True):
            print(f"  base, {how}: {one}\n  tuned, {how}: {other}")


if __name__ == "__main__":
    main()
