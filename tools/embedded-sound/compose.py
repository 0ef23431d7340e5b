"""Pieces of eight seconds: who plays, in which key, how fast; and the notes. All from one seed."""

import random

import numpy as np

from instruments import FRAME, LEADS, RATE, play

FRAMES = 256  # 8 s
MASTER = 0.75  # as loud as music that an import has evened
NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
TONICS = (0, 2, 4, 7, 9)
MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "pentatonic": (0, 2, 4, 7, 9)}
EIGHTHS = (6, 7, 8, 10, 12, 14, 16)  # frames of an eighth note: 160, 137, 120, 96, 80, 69, 60 beats a minute
# Steps of the scale on which the chords stand, one a bar.
LOOPS = {
    "major": [(0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 0, 4)],
    "minor": [(0, 5, 2, 6), (0, 3, 6, 0), (0, 6, 5, 6), (0, 5, 3, 4), (0, 3, 0, 6)],
}
# Lengths in eighths that fill a bar of four or three quarters; 0.5 needs even eighths.
RHYTHMS = {
    4: {
        "calm": [(4, 4), (2, 2, 4), (4, 2, 2), (6, 2), (8,)],
        "plain": [(2, 2, 2, 2), (2, 1, 1, 2, 2), (3, 1, 2, 2), (2, 2, 1, 1, 2), (2, 2, 4), (3, 3, 2), (1, 1, 2, 2, 2)],
        "busy": [(1, 1, 1, 1, 2, 2), (1, 1, 2, 1, 1, 2), (1,) * 8, (3, 1, 1, 1, 2), (2, 1, 1, 1, 1, 2), (1, 2, 1, 2, 2)],
    },
    3: {
        "calm": [(4, 2), (6,), (2, 4)],
        "plain": [(2, 2, 2), (3, 1, 2), (2, 1, 1, 2), (4, 2)],
        "busy": [(1,) * 6, (2, 1, 1, 1, 1), (1, 1, 2, 2), (3, 1, 1, 1)],
    },
}
LOWEST = {"guitar": 60, "piano": 60, "flute": 67, "bells": 72, "organ": 60, "synth": 60, "strings": 62}
RANGE = 17
# Eighths on which the drums fall, in a bar.
BEATS = {
    4: {
        "rock": ({0, 4, 5}, {2, 6}, range(8)),
        "dance": ({0, 2, 4, 6}, {2, 6}, (1, 3, 5, 7)),
        "slow": ({0, 5}, {4}, (0, 2, 4, 6)),
        "march": ({0, 4}, {2, 3, 6}, (0, 2, 4, 6)),
    },
    3: {"waltz": ({0}, {2, 4}, (0, 2, 4)), "swing": ({0}, {4}, range(6))},
}
TEXTURES = {
    "solo": 32,
    "lead chords": 20,
    "lead bass": 7,
    "lead drums": 7,
    "lead bass drums": 10,
    "lead chords bass drums": 12,
    "lead chords bass": 4,
    "chords": 5,
    "drums": 3,
}


class Piece:
    """What is played, without the notes."""

    def __init__(self, rng):
        self.mode = rng.choices(list(MODES), (5, 5, 3))[0]
        self.tonic = rng.choice(TONICS)
        self.eighth = rng.choice(EIGHTHS)
        self.meter = 4 if rng.random() < 0.8 else 3
        texture = rng.choices(list(TEXTURES), list(TEXTURES.values()))[0]
        self.lead = rng.choice(LEADS) if texture == "solo" or "lead" in texture else ""
        self.chords = self.style = self.bass = self.beat = ""
        if "chords" in texture:
            self.style = rng.choice(("held", "strummed", "broken"))
            can = {"held": ("organ", "strings"), "strummed": ("guitar", "piano"), "broken": ("guitar", "piano", "bells")}[self.style]
            self.chords = rng.choice([c for c in can if c != self.lead])
        if "bass" in texture:
            self.bass = rng.choice(("roots", "octaves", "fifths"))
        if "drums" in texture:
            self.beat = rng.choice(list(BEATS[self.meter]))
        low = "busy" if self.eighth >= 10 else "plain"
        self.pace = rng.choices(("calm", low), (1, 2))[0]

    @property
    def bpm(self):
        return round(60 * RATE / FRAME / (2 * self.eighth))


def steps(piece):
    """The scale's notes over all octaves."""
    return [m for m in range(24, 108) if (m - piece.tonic) % 12 in MODES[piece.mode]]


def chord_tones(piece, root):
    """Pitch classes of the chord on a step; in the pentatonic the plain triads of the first and the sixth."""
    if piece.mode == "pentatonic":
        return [(piece.tonic + x) % 12 for x in ((0, 4, 7), (9, 0, 4))[root]]
    scale = MODES[piece.mode]
    return [(piece.tonic + scale[(root + i) % 7]) % 12 for i in (0, 2, 4)]


def melody(piece, rng, loop, bars):
    """A tune that walks along the scale, on the chord when a beat is strong, and comes back to its first bars."""
    scale = [m for m in steps(piece) if LOWEST[piece.lead] <= m < LOWEST[piece.lead] + RANGE]
    long = piece.meter * 2
    shapes = [rng.choice(RHYTHMS[piece.meter][piece.pace]) for _ in range(2)]
    notes, at, motif = [], len(scale) // 2 + rng.randint(-2, 2), {}
    for bar in range(bars):
        chord = chord_tones(piece, loop[bar % len(loop)])
        key = (bar % 2, loop[bar % len(loop)])
        if key in motif and rng.random() < 0.6:
            notes += [(bar * long + b, n, d) for b, n, d in motif[key]]
            at = scale.index(motif[key][-1][1])
            continue
        begin, told = 0, []
        for length in shapes[bar % 2]:
            at += rng.choice((-2, -1, -1, 0, 1, 1, 2)) if rng.random() < 0.85 else rng.choice((-4, -3, 3, 4))
            at = min(max(at, 0), len(scale) - 1)
            if begin % 4 == 0:
                near = sorted(range(len(scale)), key=lambda i: (abs(i - at), i))
                at = next(i for i in near if scale[i] % 12 in chord)
            told.append((begin, scale[at], length))
            begin += length
        motif[key] = told
        notes += [(bar * long + b, n, d) for b, n, d in told]
    return notes


def voicing(tones, low):
    return sorted(low + (t - low) % 12 for t in tones)


def accompany(piece, loop, bars):
    notes, long = [], piece.meter * 2
    for bar in range(bars):
        tones = chord_tones(piece, loop[bar % len(loop)])
        chord = voicing(tones, 67 if piece.chords == "bells" else 52)
        if piece.style == "held":
            notes += [(bar * long, n, long) for n in chord]
        elif piece.style == "strummed":
            notes += [(bar * long + b, n, 2) for b in range(0, long, 2 if piece.eighth < 12 else 4) for n in chord if b < long]
        else:
            up = [chord[0], chord[1], chord[2], chord[1]] if piece.meter == 4 else chord
            notes += [(bar * long + b, up[b % len(up)], 2) for b in range(long)]
    return notes


def bass_line(piece, loop, bars):
    notes, long = [], piece.meter * 2
    for bar in range(bars):
        tones = chord_tones(piece, loop[bar % len(loop)])
        root, fifth = 36 + (tones[0] - 36) % 12, 36 + (tones[2] - 36) % 12
        if piece.bass == "roots":
            notes += [(bar * long + b, root, 2) for b in range(0, long, 2)]
        elif piece.bass == "octaves":
            notes += [(bar * long + b, root + 12 * (b % 2), 1) for b in range(long)]
        else:
            notes += [(bar * long + b, root if b % 4 == 0 else fifth, 4) for b in range(0, long, 4)]
    return notes


def write(piece, rng):
    """All notes: (instrument, pitch, first frame, frames, gain)."""
    loop = rng.choice([(0, 0, 1, 1), (0, 1), (0,)] if piece.mode == "pentatonic" else LOOPS[piece.mode])
    long, e = piece.meter * 2, piece.eighth
    bars = -(-FRAMES // (long * e))
    notes = []
    if piece.lead:
        notes += [(piece.lead, n, b * e, d * e, 1.0) for b, n, d in melody(piece, rng, loop, bars)]
    if piece.chords:
        gain = 0.5 if piece.lead else 0.8
        gain *= 1.4 if piece.style == "broken" else 1
        notes += [(piece.chords, n, b * e, d * e, gain) for b, n, d in accompany(piece, loop, bars)]
    if piece.bass:
        notes += [("bass", n, b * e, d * e, 0.9) for b, n, d in bass_line(piece, loop, bars)]
    if piece.beat:
        low, high, shut = BEATS[piece.meter][piece.beat]
        for bar in range(bars):
            for name, when in (("kick", low), ("snare", high), ("hat", shut)):
                notes += [(name, 0, (bar * long + b) * e, 0, 0.9) for b in when]
    return [n for n in notes if n[2] < FRAMES]


def render(notes, frames=FRAMES):
    out = np.zeros(frames * FRAME, np.float32)
    for name, midi, begin, length, gain in notes:
        play(out, name, midi, begin, length, gain * MASTER)
    return out


def make(seed):
    rng = random.Random(seed)
    piece = Piece(rng)
    return piece, write(piece, rng)
