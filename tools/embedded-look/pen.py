"""A small vector pen: filled shapes with an even outline, drawn large and averaged down, on a picture 64 units wide."""

import math

import numpy as np
from PIL import Image, ImageDraw

INK = (38, 32, 40)
WHITE = (255, 255, 255)


def mix(a, b, share):
    """Colour a with a share of colour b."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b))


_ANGLES = np.linspace(0, 2 * math.pi, 28, endpoint=False)
_RING = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)


def smooth(points, closed=True, steps=6):
    """A Catmull-Rom curve through the points."""
    p = np.asarray(points, float)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-2:-1]])


def grown(points, by):
    """A closed polygon, its border moved outwards."""
    ahead = np.roll(points, -1, 0) - points
    x, y = points[:, 0], points[:, 1]
    turn = 1 if (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0 else -1
    normal = np.stack([ahead[:, 1], -ahead[:, 0]], 1) * turn
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    before = np.roll(normal, 1, 0)
    corner = np.maximum(1 + (normal * before).sum(1, keepdims=True), 0.45)
    return points + (normal + before) / corner * by


class Pen:
    def __init__(self, size=64, over=4):
        self.size, self.over, self.unit = size, over, size * over / 64
        self.image = Image.new("RGB", (size * over, size * over), WHITE)
        self.draw = ImageDraw.Draw(self.image)
        self.home()

    def home(self):
        self.place(0, 0)

    def place(self, x, y, scale=1.0, flip=False, tilt=0.0):
        """Where the figure's origin lies, how large it is, whether it looks left, how far it leans (radians)."""
        c, s = math.cos(tilt) * scale, math.sin(tilt) * scale
        self.turn = np.array([[c, s], [-s, c]]) @ np.diag([-1.0 if flip else 1.0, 1.0])
        self.move = np.array([x, y], float)
        self.scale = scale

    def at(self, points):
        return (np.asarray(points, float) @ self.turn + self.move) * self.unit

    def shape(self, points, fill, line=INK, width=0.85):
        p = self.at(points)
        if line is not None:
            self.draw.polygon(grown(p, width * self.unit * self.scale**0.3).ravel().tolist(), fill=line)
        self.draw.polygon(p.ravel().tolist(), fill=fill)

    def blob(self, points, fill, line=INK, width=0.85):
        self.shape(smooth(points), fill, line, width)

    def oval(self, x, y, rx, ry, fill, line=INK, lean=0.0, width=0.85):
        p = _RING * (rx, ry)
        if lean:
            c, s = math.cos(lean), math.sin(lean)
            p = p @ np.array([[c, s], [-s, c]])
        self.shape(p + (x, y), fill, line, width)

    def line(self, points, colour, width, round_=True):
        p = self.at(points)
        w = max(1, round(width * self.unit * self.scale**0.7))
        self.draw.line(p.ravel().tolist(), fill=colour, width=w)
        if w > 3 and round_:
            r = w / 2
            for x, y in p:
                self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def curve(self, points, colour, width, line=None):
        """An open, soft line; with an outline where line is given."""
        p = smooth(points, closed=False)
        if line is not None:
            self.line(p, line, width + 1.7)
        self.line(p, colour, width)

    def box(self, x0, y0, x1, y1, fill, line=INK, width=0.85):
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, line, width)

    def spokes(self, x, y, outer, inner, count, fill, line=INK, start=-math.pi / 2):
        turns = start + np.arange(2 * count) * math.pi / count
        r = np.where(np.arange(2 * count) % 2 == 0, outer, inner)
        self.shape(np.stack([x + r * np.cos(turns), y + r * np.sin(turns)], 1), fill, line)

    def picture(self):
        return np.asarray(self.image.reduce(self.over))
