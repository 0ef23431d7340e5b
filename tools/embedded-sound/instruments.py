"""The sounds of the band: every note is made once and kept, always with the same phases, so that equal notes are equal."""

import functools

import numpy as np

RATE = 16_000
FRAME = 500  # samples of one frame of codes; notes begin on frames
LONGEST = 5 * RATE
TOP = 7_400  # Hz; partials above are left out

LEADS = ("guitar", "piano", "flute", "bells", "organ", "synth", "strings")
RELEASE = {"guitar": 0.08, "piano": 0.1, "flute": 0.06, "bells": 0.3, "organ": 0.04, "synth": 0.03, "strings": 0.12, "bass": 0.05}


def pitch(midi):
    return 440 * 2 ** ((midi - 69) / 12)


def partials(midi, shares, decay=None, stretch=0.0, vibrato=None):
    """A sum of sines: shares of the harmonics (or pairs of ratio and share), each with its own decay time in seconds."""
    t = np.arange(LONGEST) / RATE
    base = pitch(midi)
    swing = np.zeros(LONGEST)
    if vibrato:
        depth, speed, after = vibrato
        grown = np.clip((t - after) / 0.4, 0, 1)
        swing = np.cumsum(grown * depth * np.sin(2 * np.pi * speed * t)) * base / RATE
    out = np.zeros(LONGEST)
    for k, share in enumerate(shares, 1):
        ratio, share = share if isinstance(share, tuple) else (k * np.sqrt(1 + stretch * k * k), share)
        if ratio * base > TOP:
            continue
        tone = share * np.sin(2 * np.pi * ratio * (base * t + swing))
        out += tone * np.exp(-t / decay(k, midi)) if decay else tone
    return out


def fade_in(x, seconds):
    n = int(seconds * RATE)
    x[:n] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(n) / n)
    return x


def noise(seconds, seed, low=0.0):
    """A burst that is the same each time; low takes so much of the deep sound out (0 to 1)."""
    x = np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    return x - low * np.convolve(x, np.ones(5) / 5, "same")


def guitar(midi):
    pluck = [np.sin(np.pi * k * 0.21) / k for k in range(1, 24)]
    return fade_in(partials(midi, pluck, lambda k, m: 1.1 * 2 ** ((60 - m) / 24) / (1 + 0.22 * k)), 0.002)


def piano(midi):
    shares = [1.0, 0.55, 0.28, 0.2, 0.1, 0.07, 0.04, 0.03]
    x = partials(midi, shares, lambda k, m: 1.6 * 2 ** ((60 - m) / 20) / (1 + 0.5 * (k - 1)), 0.0004)
    knock = noise(0.02, 3) * np.linspace(1, 0, int(0.02 * RATE)) ** 2
    x[: len(knock)] += 0.12 * knock
    return fade_in(x, 0.006)


def flute(midi):
    x = partials(midi, [1.0, 0.22, 0.07, 0.02], vibrato=(0.006, 5.0, 0.25))
    breath = noise(0.09, 4) * np.hanning(int(0.09 * RATE))
    x[: len(breath)] += 0.1 * breath
    return fade_in(x, 0.05)


def bells(midi):
    shares = [(1.0, 1.0), (2.76, 0.6), (5.4, 0.35), (8.93, 0.15)]
    return fade_in(partials(midi, shares, lambda k, m: 1.5 / k), 0.001)


def organ(midi):
    return fade_in(partials(midi, [(0.5, 0.35), (1, 0.8), (2, 0.7), (3, 0.4), (4, 0.45), (6, 0.2), (8, 0.3)]), 0.012)


def synth(midi):
    x = partials(midi, [1 / k if k % 2 else 0 for k in range(1, 32)])
    return fade_in(x * (0.75 + 0.25 * np.exp(-np.arange(LONGEST) / RATE / 0.08)), 0.003)


def strings(midi):
    x = partials(midi, [1 / k**1.15 for k in range(1, 20)], vibrato=(0.005, 5.5, 0.2))
    return fade_in(x, 0.11)


def bass(midi):
    shares = [1.0, 0.6, 0.3, 0.16, 0.08, 0.05]
    return fade_in(partials(midi, shares, lambda k, m: 0.9 / (1 + 0.35 * (k - 1))), 0.005)


LEVEL = {"guitar": 0.30, "piano": 0.24, "flute": 0.24, "bells": 0.17, "organ": 0.13, "synth": 0.15, "strings": 0.13, "bass": 0.26}


@functools.lru_cache(maxsize=None)
def sound(name, midi):
    return (globals()[name](midi) * LEVEL[name]).astype(np.float32)


def kick():
    t = np.arange(int(0.22 * RATE)) / RATE
    return 0.5 * np.sin(2 * np.pi * (48 * t + 90 * 0.03 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.07)


def snare():
    t = np.arange(int(0.16 * RATE)) / RATE
    return (0.16 * noise(0.16, 1, 0.4) + 0.18 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.045)


def hat():
    t = np.arange(int(0.06 * RATE)) / RATE
    return 0.1 * noise(0.06, 2, 1.0) * np.exp(-t / 0.016)


@functools.lru_cache(maxsize=None)
def drum(name):
    return globals()[name]().astype(np.float32)


def play(out, name, midi, begin, frames, gain=1.0):
    """Adds a note to out; begin and frames count frames. Drums have no pitch and no length."""
    at = begin * FRAME
    if name in ("kick", "snare", "hat"):
        x = drum(name)
    else:
        tail = int(RELEASE[name] * RATE)
        x = sound(name, midi)[: frames * FRAME + tail].copy()
        x[-tail:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(tail) / tail)
    part = out[at : at + len(x)]
    part += gain * x[: len(part)]
