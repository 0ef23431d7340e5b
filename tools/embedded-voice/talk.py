"""Talks with a model folder: one reply a message, or a whole chat turn by turn, greedy or sampled, in float32."""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(folder):
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def reply(model, tokenizer, messages, seed=None, temperature=0.8, top_p=0.95, new_tokens=80):
    """The reply to `messages`; greedy without a seed."""
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    if seed is None:
        how = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    else:
        torch.manual_seed(seed)
        how = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=new_tokens, **how)
    return tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def chat(model, tokenizer, lines, seed=None, system=None):
    """A chat with the user's `lines`: pairs (line, reply)."""
    messages, pairs = ([{"role": "system", "content": system}] if system else []), []
    for line in lines:
        messages.append({"role": "user", "content": line})
        answer = reply(model, tokenizer, messages, seed)
        messages.append({"role": "assistant", "content": answer})
        pairs.append((line, answer))
    return pairs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("line", nargs="+", help="what the user says, turn by turn")
    parser.add_argument("--seed", type=int, help="sample with this seed (without: greedy)")
    parser.add_argument("--system", help="a system message")
    options = parser.parse_args()
    for line, answer in chat(*load(options.folder), options.line, options.seed, options.system):
        print(f"user: {line}\nassistant: {answer}")
