"""What a sound holds, measured: semitones over time, chroma, onsets, tempo, brightness; and pictures of it."""

import numpy as np
from PIL import Image, ImageDraw

from compose import EIGHTHS, MODES
from instruments import FRAME, RATE, pitch

LOW, HIGH = 33, 108  # semitones of the picture
HOP = FRAME // 2


def magnitudes(x, size=2048, hop=HOP):
    """(times, bins), windows in the middle of their time."""
    x = np.pad(np.asarray(x, np.float32), size // 2)
    starts = range(0, len(x) - size + 1, hop)
    window = np.hanning(size).astype(np.float32)
    return np.abs(np.fft.rfft(np.stack([x[s : s + size] * window for s in starts]))) / window.sum() * 2


def semitones(x):
    """(times, semitones from LOW on): the strongest bin near each pitch."""
    size = 8192
    bins = magnitudes(x, size, FRAME)
    out = np.zeros((len(bins), HIGH - LOW))
    for i in range(HIGH - LOW):
        low, high = pitch(LOW + i - 0.5), pitch(LOW + i + 0.5)
        a = int(np.floor(low * size / RATE))
        out[:, i] = bins[:, a : max(a + 1, int(np.ceil(high * size / RATE)))].max(1)
    return out


def chroma(x, low=52):
    """How much of each of the twelve notes there is, above the bass; only what stands out among its neighbours counts."""
    tones = semitones(x)[:, low - LOW :]
    around = np.maximum(np.roll(tones, 1, 1), np.roll(tones, -1, 1))
    peaks = np.where((tones > around) & (tones > 0.15 * tones.max(1, keepdims=True)), tones, 0)
    total = np.zeros(12)
    for i, n in enumerate(peaks.sum(0)):
        total[(low + i) % 12] += n
    return total / max(total.sum(), 1e-9)


def mode_of(x, tonic):
    """Which of the modes fits a tonic best: major and minor differ in their third, sixth and seventh."""
    have = chroma(x)
    return max(("major", "minor"), key=lambda m: sum(have[(tonic + s) % 12] for s in MODES[m]))


def in_scale(x, tonic, steps):
    have = chroma(x)
    return float(sum(have[(tonic + s) % 12] for s in steps))


def onset_strength(x):
    """A number for every half frame: by how much the sound grows there, over all bins, in logarithms."""
    bins = np.log1p(1000 * magnitudes(x, 512))
    grown = np.maximum(bins[1:] - bins[:-1], 0).sum(1)
    return np.concatenate([[0], grown])


def onsets(x):
    """Times in frames (of codes) at which notes begin."""
    s = onset_strength(x)
    local = np.array([s[max(0, i - 12) : i + 13].mean() for i in range(len(s))])
    least = max(0.25 * np.percentile(s, 98), 1e-6)
    top = [i for i in range(1, len(s) - 1) if s[i] >= s[i - 1] and s[i] > s[i + 1] and s[i] > 1.4 * local[i] and s[i] > least]
    kept = []
    for i in top:
        if kept and i - kept[-1] < 5:
            if s[i] > s[kept[-1]]:
                kept[-1] = i
        else:
            kept.append(i)
    return np.array(kept) / 2


def eighth_of(x):
    """Which length of an eighth note (in frames) explains the onsets best: all near the grid, and the grid not needlessly fine."""
    at = onsets(x)
    if len(at) < 4:
        return 0
    best = {}
    for e in EIGHTHS:
        gaps = np.subtract.outer(at, at)
        gaps = gaps[(gaps > 2) & (gaps < 8 * e + 2)]
        apart = np.abs(gaps / e - np.round(gaps / e)) * e
        best[e] = (apart < 0.8).sum() / max(len(gaps), 1) - 1.6 / e
    return max(best, key=best.get)


def bar_of(x, eighth, bars=(6, 7, 8)):
    """After how many eighths the onsets come again most alike."""
    s = onset_strength(x)
    s = s - s.mean()
    alike = {}
    for n in bars:
        lag = 2 * eighth * n
        alike[n] = max(float(s[d:] @ s[:-d]) / (len(s) - d) for d in (lag - 1, lag, lag + 1)) if lag + 8 < len(s) else -1.0
    return max(alike, key=alike.get)


def centroid(x):
    """The middle of the spectrum, in Hz, weighted by magnitude where there is sound."""
    bins = magnitudes(x, 1024)
    each = bins @ (np.arange(bins.shape[1]) * RATE / 1024) / np.maximum(bins.sum(1), 1e-9)
    weight = bins.sum(1)
    return float((each * weight).sum() / max(weight.sum(), 1e-9))


def timbre(x):
    """A vector for telling instruments: the mean and the change of a coarse log spectrum, relative to pitch and level."""
    bins = magnitudes(x, 2048)
    loud = bins.sum(1)
    edges = np.unique(np.geomspace(2, bins.shape[1] - 1, 25).astype(int))
    bands = np.stack([bins[:, a:b].mean(1) for a, b in zip(edges, edges[1:], strict=False)], 1)
    bands = np.log(bands + 1e-5)[loud > 0.1 * loud.max()]
    level = np.log(loud[loud > 0.1 * loud.max()] + 1e-5)
    change = np.abs(np.diff(bands, axis=0)).mean(0) if len(bands) > 1 else np.zeros(bands.shape[1])
    fall = np.diff(level)
    return np.concatenate([bands.mean(0) - bands.mean(), bands.std(0), change, [(fall < -0.05).mean(), np.abs(fall).mean(), fall.std()]])


def picture(x, title=""):
    """Semitones upwards, time to the right, brighter is louder; octaves of A as thin lines."""
    tones = semitones(x).T[::-1]
    shade = np.clip(1 + np.log10(np.maximum(tones, 1e-5) / 0.1) / 2.2, 0, 1)
    shade = np.repeat(np.repeat(shade, 2, 0), 2, 1)
    r, g, b = np.clip(shade * 2, 0, 1), np.clip(shade * 2 - 0.7, 0, 1), np.clip(0.25 + shade * 0.5, 0, 1) * (shade > 0.02)
    image = Image.fromarray((np.stack([r, g, b], -1) * 255).astype(np.uint8))
    for midi in range(45, HIGH, 12):
        row = (HIGH - 1 - midi) * 2
        image.paste((70, 70, 90), (0, row, image.width, row + 1))
    board = Image.new("RGB", (image.width, image.height + 14), "white")
    board.paste(image, (0, 14))
    ImageDraw.Draw(board).text((2, 1), title[:90], fill="black")
    return board


def sheet(pictures, out, columns=3):
    wide, high = max(p.width for p in pictures), max(p.height for p in pictures)
    rows = -(-len(pictures) // columns)
    board = Image.new("RGB", (columns * (wide + 6), rows * (high + 6)), "white")
    for i, p in enumerate(pictures):
        board.paste(p, (i % columns * (wide + 6), i // columns * (high + 6)))
    board.save(out, optimize=True)
