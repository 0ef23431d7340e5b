"""What is said of a piece: wording varies, and parts are left out, so that short prompts work."""

import random

from compose import NAMES

CALLED = {
    "guitar": ("guitar", "guitar", "acoustic guitar"),
    "piano": ("piano",),
    "flute": ("flute", "flute", "wooden flute"),
    "bells": ("bells", "bells", "glockenspiel"),
    "organ": ("organ",),
    "synth": ("synth", "synth", "square synth"),
    "strings": ("strings", "strings", "violins"),
}
SPEED = {60: ("very slow", "slow"), 69: ("slow", "very slow"), 80: ("slow",), 96: ("medium", "moderate", "medium tempo"),
         120: ("lively", "upbeat", "quick"), 137: ("fast",), 160: ("very fast", "fast")}  # fmt: skip
FEELING = {
    "major": ("happy", "cheerful", "bright"),
    "minor": ("sad", "dark", "melancholic"),
    "pentatonic": ("folk", "simple"),
}
BEAT = {"rock": "a rock beat", "dance": "a dance beat", "slow": "a slow beat", "march": "march drums", "waltz": "waltz drums",
        "swing": "a swing beat"}  # fmt: skip
BASS = ("bass", "a bass line", "bass guitar")


def key(piece, rng):
    if rng.random() < 0.5:
        scale = f"{piece.mode} scale" if piece.mode == "pentatonic" else piece.mode
        return f"in {NAMES[piece.tonic]} {scale}" if rng.random() < 0.7 else f"{NAMES[piece.tonic]} {piece.mode}"
    if piece.mode == "pentatonic":
        return rng.choice(("pentatonic", "in a pentatonic scale"))
    return rng.choice((f"in a {piece.mode} key", piece.mode, f"in {piece.mode}"))


def beside(piece, rng):
    """Those who play beside the tune."""
    told = []
    if piece.chords:
        name = rng.choice(CALLED[piece.chords])
        ways = {"held": (f"{name} chords", f"long {name} chords", f"held {name}"), "strummed": (f"strummed {name}", f"{name} chords"),
                "broken": (f"{name} arpeggios", f"broken {name} chords")}  # fmt: skip
        told.append(rng.choice((name, *ways[piece.style])))
    if piece.bass:
        told.append(rng.choice(BASS))
    if piece.beat:
        told.append(rng.choice(("drums", "drums", BEAT[piece.beat])))
    return told


def together(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def caption(piece, rng):
    lead = rng.choice(CALLED[piece.lead]) if piece.lead else ""
    others = beside(piece, rng)
    speed = rng.choice(SPEED[piece.bpm]) if rng.random() < 0.7 else ""
    beats = f"{piece.bpm} bpm" if rng.random() < 0.3 else ""
    feeling = rng.choice(FEELING[piece.mode]) if rng.random() < 0.35 else ""
    tune = key(piece, rng) if piece.lead or piece.chords or piece.bass else ""
    if rng.random() < 0.3:
        tune = ""
    calm = rng.choice(("calm", "with long notes")) if piece.lead and piece.pace == "calm" and rng.random() < 0.5 else ""
    waltz = "waltz" if piece.meter == 3 and rng.random() < 0.6 else ""
    if rng.random() < 0.35:
        # A list of words.
        words = [w for w in (f"solo {lead}" if lead and not others else lead, *others, speed, feeling, waltz, calm, tune, beats) if w]
        if rng.random() < 0.3:
            rng.shuffle(words)
        return ", ".join(words)
    before = [w for w in (speed, feeling if lead or piece.chords else "", "calm" if calm == "calm" else "") if w]
    if rng.random() < 0.3:
        before.reverse()
    if lead:
        kind = waltz or rng.choice(("melody", "tune", "melody", "piece"))
        if waltz or rng.random() < 0.5:
            head = article(" ".join([*before, kind])) + rng.choice((" on ", " played on ", " for ")) + lead
        else:
            head = article(" ".join([*before, lead, kind])) if rng.random() < 0.7 else " ".join([*before, lead])
        if not others and rng.random() < 0.5:
            head += rng.choice((" alone", ", solo"))
        with_ = " with " + together(others) if others else ""
    else:
        head = article(" ".join([*before, waltz or "piece"])) + " of " + together(others) if before or waltz else together(others)
        with_ = ""
    long = ", with long notes" if calm == "with long notes" else ""
    tail = "".join((", " if not t.startswith("in ") else " ") + t for t in (tune, beats and rng.choice((f"at {beats}", beats))) if t)
    return head + with_ + long + tail


def captions(piece, seed, count=4):
    rng = random.Random(seed * 7 + 1)
    return [caption(piece, rng) for _ in range(count)]
