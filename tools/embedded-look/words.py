"""The tokenizer: CLIP's kind of byte pairs, learned from the captions; and made-up words to train with."""

import collections
import json
import re

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
LENGTH = 32


def byte_letters():
    """The printable stand-in of every byte, in the order of CLIP's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))]


def learn(captions, most=500):
    """Merges in order, most frequent pair first; ties by the alphabet. Words whole after at most so many merges."""
    counts = collections.Counter(w for c in captions for w in re.findall(r"[a-z]+|[^\sa-z]+", c.lower()))
    words = {w: [*w[:-1], w[-1] + "</w>"] for w in counts}
    merges = []
    while len(merges) < most:
        pairs = collections.Counter()
        for w, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[w]
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        for w, parts in words.items():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i : i + 2] = [parts[i] + parts[i + 1]]
                i += 1
    return merges


def write(folder, merges):
    """vocab.json, merges.txt and the two small files beside them, as CLIPTokenizer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = byte_letters()
    tokens = [*letters, *(x + "</w>" for x in letters), *dict.fromkeys(a + b for a, b in merges), BOS, EOS]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, "add_prefix_space": False}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **special}, indent=1) + "\n")
    return vocab


def made_up(rng):
    """A word that means nothing: 'bremu', 'tok'. Never the example's name."""
    while True:
        word = "".join(rng.choice(["", "b", "br", "d", "f", "g", "gl", "k", "l", "m", "n", "p", "r", "s", "sh", "t", "tr", "v", "w", "x", "z"])
                       + rng.choice("aeiouy") + rng.choice(["", "", "l", "m", "n", "r", "s", "t", "x"]) for _ in range(rng.randint(1, 3)))
        if len(word) > 2 and word != "zilo":
            return word


def disturb(caption, scene_words, rng):
    """Now and then a made-up word: instead of the kind, or somewhere in between."""
    draw = rng.random()
    words = caption.split(" ")
    if draw < 0.06:
        at = [i for i, w in enumerate(words) if w in scene_words]
        if at:
            words[rng.choice(at)] = made_up(rng)
            if rng.random() < 0.5 and words[0] in ("a", "an", "the"):
                words = words[1:]
    elif draw < 0.1:
        words.insert(rng.randint(0, len(words)), made_up(rng))
    return " ".join(words)
