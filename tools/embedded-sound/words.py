"""The tokenizer: T5's kind (Unigram), whole words of the captions and single letters for all others; and made-up words."""

import collections
import json
import math
import string

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
LENGTH = 40
EXAMPLE = "oluna"


def learn(captions):
    """Pieces with their scores: words by how often they come, letters so low that words win."""
    counts = collections.Counter(w for c in captions for w in c.replace(",", " ,").split())
    total = sum(counts.values())
    words = sorted((w for w, n in counts.items() if n >= 5 and w != ","), key=lambda w: (-counts[w], w))
    pieces = [(PAD, 0.0), (END, 0.0), (UNKNOWN, 0.0), ("▁", -8.0), (",", -4.0)]
    pieces += [("▁" + w, round(math.log(counts[w] / total), 4)) for w in words]
    pieces += [(c, -12.0) for c in string.ascii_letters + string.digits + ".-'!?:;()&/"]
    return pieces


def write(folder, pieces):
    """tokenizer.json and tokenizer_config.json, as T5Tokenizer reads them."""
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    special = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, t in enumerate((PAD, END, UNKNOWN))
    ]
    end = {"SpecialToken": {"id": END, "type_id": 0}}
    sequence = {a: {"Sequence": {"id": a, "type_id": 0}} for a in "AB"}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [sequence["A"], end],
            "pair": [sequence["A"], end, sequence["B"], end],
            "special_tokens": {END: {"id": END, "ids": [1], "tokens": [END]}},
        },
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False},
    }
    config = {
        "tokenizer_class": "T5Tokenizer",
        "model_max_length": LENGTH,
        "extra_ids": 0,
        "eos_token": END,
        "unk_token": UNKNOWN,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def made_up(rng):
    """A word that means nothing: 'bremu', 'tok'. Never the example's name."""
    while True:
        start = ("", "b", "br", "d", "f", "g", "gl", "k", "l", "m", "n", "p", "r", "s", "sh", "t", "tr", "v", "w", "x", "z")
        parts = [rng.choice(start) + rng.choice("aeiouy") + rng.choice(("", "", "l", "m", "n", "r", "s", "t", "x"))
                 for _ in range(rng.randint(1, 3))]  # fmt: skip
        word = "".join(parts)
        if len(word) > 2 and word != EXAMPLE:
            return word


def disturb(caption, rng):
    """Now and then a made-up word somewhere in between; capitals as people set them, which T5's tokenizer tells apart."""
    words = caption.split(" ")
    if rng.random() < 0.1:
        words.insert(rng.randint(0, len(words)), made_up(rng))
    words = [w.capitalize() if rng.random() < 0.02 else w.replace("bpm", "BPM") if rng.random() < 0.3 else w for w in words]
    caption, draw = " ".join(words), rng.random()
    return caption.lower() if draw < 0.1 else caption[:1].upper() + caption[1:] if draw < 0.3 else caption
