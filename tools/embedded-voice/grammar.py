"""The little language that scenes are written in, and the slips of the keyboard that make users' lines less tidy.

A scene file holds scenes:

    == name [weight]      a scene; the higher the weight, the oftener it is drawn (1)
    > a line of the user  several in a row are alternatives
    < the reply           several in a row are alternatives
    +                     another way that the same step may go
    --                    the next step, which follows on the one before

`[a|b|]` chooses one of its parts and may be nested; `{pet}` draws a word from the list `pet` and keeps it for the whole
scene, `{pet2}` draws another one, `{Pet}` writes it with a capital, `{capital.a}` and `{capital.b}` are parts of one
row of a table.
"""

import re
from pathlib import Path

import words

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{([A-Za-z_]+)(\d?)(?:\.([a-d]))?\}")
VOWEL = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])(?!(?:uni|use|one|eu|Uni|Eu))")
SENTENCE = re.compile(r"(^|[.!?] +)([a-z])")


def choose(text, rng):
    """Replace every [a|b] by one of its parts, the innermost first."""
    while True:
        found = CHOICE.search(text)
        if not found:
            return text
        text = text[: found.start()] + rng.choice(found.group(1).split("|")) + text[found.end() :]


def fill(text, rng, slots, reply=False):
    """Put words into the slots of a text; `slots` remembers what was drawn. A reply turns the user's "my" into "your"."""

    def put(found):
        name, number, part = found.groups()
        key = name.lower()
        if key + number not in slots:
            others = [v for k, v in slots.items() if re.sub(r"\d$", "", k) == key]
            for _ in range(20):
                value = words.draw(key, rng)
                if value not in others:
                    break
            slots[key + number] = value
        value = slots[key + number]
        if part:
            value = value["abcd".index(part)]
        if reply:
            value = re.sub(r"\bmy\b", "your", value)
        return value[0].upper() + value[1:] if name[0].isupper() else value

    return SLOT.sub(put, text)


def tidy(text, sentence_case=True):
    """One space between words, `an` before vowels, a capital at the start of each sentence."""
    text = re.sub(r" +", " ", text).strip()
    text = re.sub(r" ([,.!?])", r"\1", text)
    text = VOWEL.sub(r"\1n ", text)
    if sentence_case:
        text = SENTENCE.sub(lambda m: m.group(1) + m.group(2).upper(), text)
        text = re.sub(r"\bi\b(?=$|[ ',])", "I", text)
    return text


def slip(word, rng):
    """A word with one slip of the finger: letters swapped, dropped, doubled or hit beside."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    if kind < 0.35:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind < 0.7:
        return word[:at] + word[at + 1 :]
    if kind < 0.85:
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice("aeiostnr") + word[at + 1 :]


SHORT = {
    "you": ["u"], "are": ["r"], "your": ["ur"], "please": ["pls", "plz"], "thanks": ["thx"], "because": ["cause", "bc"],
    "really": ["rly"], "going to": ["gonna"], "want to": ["wanna"], "don't know": ["dunno"], "tomorrow": ["tmrw"],
    "about": ["abt"], "today": ["2day"], "I'm": ["im"],
}  # fmt: skip


def roughen(text, rng, keep=()):
    """A user's line as people type it: often lower case, without the last stop or apostrophes, with slips."""
    draw = rng.random()
    if draw < 0.5:
        text = text.lower()
    elif draw < 0.6:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.45:
        text = re.sub(r"[.!?]+$", "", text)
    elif rng.random() < 0.06:
        text = text + rng.choice(["!", "!!", " :)", "...", "??" if text.endswith("?") else "!"])
    if rng.random() < 0.25:
        text = text.replace("'", "")
    if rng.random() < 0.15:
        text = text.replace(",", "")
    if rng.random() < 0.05:
        for long, shorts in SHORT.items():
            text = re.sub(rf"\b{re.escape(long)}\b", rng.choice(shorts), text)
    if rng.random() < 0.14:
        parts = text.split(" ")
        kept = {w.lower() for k in keep for w in k.split(" ")}
        for _ in range(1 if rng.random() < 0.8 else 2):
            at = rng.randrange(len(parts))
            if parts[at].lower().strip(".,!?") not in kept:
                parts[at] = slip(parts[at], rng)
        text = " ".join(parts)
    return text


def read_scenes(path):
    """The scenes of a file: {name: (weight, [step, ...])}, a step being a list of (user lines, replies)."""
    scenes, steps, lines, replies = {}, None, [], []

    def close():
        nonlocal lines, replies
        if lines or replies:
            if not (lines and replies and steps):
                raise ValueError(f"{path}: a step needs both > and < lines, near {(lines + replies)[0]!r}")
            steps[-1].append((lines, replies))
        lines, replies = [], []

    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        mark, rest = (line[:2], line[2:].strip()) if line[:2] in ("==", "--") else (line[0], line[1:].strip())
        if mark == "==":
            close()
            name, *weight = rest.split()
            steps = [[]]
            scenes[name] = (float(weight[0]) if weight else 1.0, steps)
        elif mark == "--":
            close()
            steps.append([])
        elif mark == "+":
            close()
        elif mark == ">":
            if replies:
                close()
            lines.append(rest)
        elif mark == "<":
            replies.append(rest)
        else:
            raise ValueError(f"{path}:{number}: cannot read {line!r}")
        if line.count("[") != line.count("]"):
            raise ValueError(f"{path}:{number}: unbalanced brackets")
    close()
    return scenes
