"""One picture of the world and its caption, from a seed.

python world.py --out sheet.png [--seed 0]    draws a sheet of 48 with their captions printed"""

import argparse
import random

from creatures import CREATURES, Look
from pen import Pen
from places import PLACES, PLAIN, plain, shadow
from things import THINGS
from wear import crown, hat, scarf

COLOURS = {
    "red": (224, 60, 60),
    "orange": (246, 144, 46),
    "yellow": (252, 214, 66),
    "green": (92, 180, 76),
    "blue": (62, 120, 220),
    "purple": (146, 86, 196),
    "pink": (248, 142, 186),
    "brown": (150, 100, 64),
    "white": (250, 248, 244),
    "grey": (150, 154, 164),
    "black": (62, 58, 70),
}
WEAR = ("red", "yellow", "green", "blue", "purple", "pink", "white")
FLYING, SWIMMING = ("balloon", "star", "heart"), ("fish",)
PLURAL = {"mouse": "mice", "fish": "fish", "fox": "foxes", "sheep": "sheep", "house": "houses"}


def some(rng, colour):
    return tuple(max(0, min(255, c + rng.randint(-9, 9))) for c in COLOURS[colour])


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


class Scene:
    """What is to be seen, before it is drawn or told."""

    def __init__(self, rng):
        self.place = rng.choice(list(PLACES)) if rng.random() < 0.8 else "plain"
        self.plain = rng.choice(list(PLAIN))
        draw = rng.random()
        kind = self.kind(rng, draw < 0.74)
        self.figures = [kind]
        if draw > 0.9:
            self.figures.append(dict(kind))
        elif draw < 0.14:
            other = self.kind(rng, False)
            other.update(colour=rng.choice([c for c in COLOURS if c != kind["colour"]]), size="")
            self.figures.append(other)
            kind["size"] = ""
        self.left = rng.random() < 0.5

    @staticmethod
    def kind(rng, creature):
        f = {"creature": creature, "colour": rng.choice(list(COLOURS)), "size": "", "pattern": "", "pose": "", "wear": "", "shade": ""}
        if rng.random() < 0.22:
            f["size"] = rng.choice(["small", "big"])
        if not creature:
            f["kind"] = rng.choice(list(THINGS))
            return f
        f["kind"] = rng.choice(list(CREATURES))
        if rng.random() < 0.2:
            f["pattern"] = rng.choice(["spots", "stripes"])
        if rng.random() < 0.2:
            f["pose"] = rng.choice(["jumping", "sleeping"])
        if rng.random() < 0.34:
            f["wear"] = rng.choice(["hat", "hat", "scarf", "crown"])
            f["shade"] = rng.choice([c for c in WEAR if c != f["colour"]])
            if f["wear"] == "scarf" and f["kind"] in ("fish", "snail"):
                f["wear"] = "hat"
        return f


def figure(pen, rng, f, x, ground, room, flip):
    """Draws one figure; room is the share of the picture it may fill."""
    scale = {"": rng.uniform(0.92, 1.06), "small": rng.uniform(0.58, 0.68), "big": rng.uniform(1.12, 1.18)}[f["size"]] * room
    y = ground + rng.uniform(-1.5, 1.5)
    lift = 0
    if f["pose"] == "jumping":
        lift = rng.uniform(6, 9) * scale
    elif f["kind"] in FLYING:
        lift = rng.uniform(4, 9)
    elif f["kind"] in SWIMMING:
        lift = rng.uniform(2, 10) * scale
    shadow(pen, x, y, (11 if lift else 15) * scale)
    tilt = rng.uniform(-0.05, 0.05) + (-0.12 if f["pose"] == "jumping" else 0) * (-1 if flip else 1)
    pen.place(x, y - lift, scale, flip, tilt)
    colour = some(rng, f["colour"])
    if not f["creature"]:
        THINGS[f["kind"]](pen, colour)
    else:
        top, neck = CREATURES[f["kind"]](pen, Look(colour, f["pattern"], f["pose"]))
        if f["wear"] == "hat":
            hat(pen, top, some(rng, f["shade"]))
        elif f["wear"] == "crown":
            crown(pen, top)
        elif f["wear"] == "scarf":
            scarf(pen, neck, some(rng, f["shade"]))
    pen.home()


def draw(scene, rng, size=64, over=4, figure=figure):
    pen = Pen(size, over)
    if scene.place == "plain":
        plain(pen, scene.plain)
        ground = 56
    else:
        PLACES[scene.place][0](pen, rng)
        ground = PLACES[scene.place][1]
    if len(scene.figures) == 1:
        spots = [(32 + rng.uniform(-2.5, 2.5), 1.0)]
    else:
        spots = [(18.5 + rng.uniform(-1, 1), 0.66), (45.5 + rng.uniform(-1, 1), 0.66)]
        if not scene.left and scene.figures[0]["kind"] != scene.figures[1]["kind"]:
            spots.reverse()
    for f, (x, room) in zip(scene.figures, spots):
        figure(pen, rng, f, x, ground, room, not scene.left)
    return pen.picture()


def noun(rng, f, full):
    """'small red cat with a blue hat'; parts are left out unless full."""
    words = [f["kind"]]
    if f["colour"] and (full or rng.random() < 0.9):
        words.insert(0, f["colour"])
    if f["size"] and (full or rng.random() < 0.85):
        words.insert(0, rng.choice(["small", "little", "tiny"]) if f["size"] == "small" else rng.choice(["big", "large"]))
    if f["pose"] and (full or rng.random() < 0.85):
        if rng.random() < 0.4:
            words.insert(0, f["pose"])
        else:
            words.append(f["pose"] if rng.random() < 0.8 else "that is " + f["pose"])
    extras = []
    if f["pattern"] and (full or rng.random() < 0.85):
        extras.append(f["pattern"])
    if f["wear"] and (full or rng.random() < 0.9):
        shade = f["shade"] + " " if f["wear"] != "crown" else rng.choice(["", "golden "])
        extras.append(article(shade + f["wear"]))
    if extras:
        if len(extras) == 1 and f["wear"] and extras[0].startswith("a") and rng.random() < 0.3:
            words.append("wearing " + extras[0])
        else:
            words.append("with " + " and ".join(extras))
    return " ".join(words)


def tell(scene, rng, full=False):
    a = scene.figures[0]
    if len(scene.figures) == 2 and scene.figures[1]["kind"] == a["kind"] and scene.figures[1]["colour"] == a["colour"]:
        many = PLURAL.get(a["kind"], a["kind"] + "s")
        subject = "two " + noun(rng, {**a, "kind": many}, full)
    elif len(scene.figures) == 2:
        subject = article(noun(rng, a, full)) + rng.choice([" and ", " and ", " next to ", " with "]) + article(noun(rng, scene.figures[1], full))
    else:
        subject = article(noun(rng, a, full))
        if rng.random() < 0.12:
            subject = subject.split(" ", 1)[1] if rng.random() < 0.5 else "the " + subject.split(" ", 1)[1]
    if a["creature"] and rng.random() < 0.07:
        subject += " looking " + ("right" if scene.left else "left")
    where = ""
    if full or rng.random() < 0.82:
        if scene.place == "plain":
            where = rng.choice([f"on a {scene.plain} background", f"on plain {scene.plain}", f"in front of a {scene.plain} wall"])
        else:
            where = rng.choice(PLACES[scene.place][2])
    lead = rng.random()
    if lead < 0.06 and where:
        return f"{where}, {subject}"
    if lead < 0.3:
        subject = rng.choice(["a picture of ", "a drawing of ", "a painting of ", "an illustration of ", "here is ", "there is "]) + subject
    return (subject + " " + where).strip()


def make(seed, size=64, over=4):
    """The picture (size, size, 3) uint8 and its scene; captions are told with a generator of their own."""
    rng = random.Random(seed)
    scene = Scene(rng)
    return draw(scene, rng, size, over), scene


def captions(scene, seed, count=3):
    rng = random.Random(seed * 7 + 1)
    return [tell(scene, rng, full=i == 0) for i in range(count)]


def main():
    import numpy as np
    from PIL import Image

    ask = argparse.ArgumentParser()
    ask.add_argument("--out", default="sheet.png")
    ask.add_argument("--seed", type=int, default=0)
    args = ask.parse_args()
    rows = []
    for y in range(6):
        row = []
        for x in range(8):
            seed = args.seed + y * 8 + x
            picture, scene = make(seed)
            row.append(picture)
            print(y, x, captions(scene, seed))
        rows.append(np.concatenate(row, 1))
    sheet = Image.fromarray(np.concatenate(rows, 0))
    sheet.resize((sheet.width * 3, sheet.height * 3), Image.NEAREST).save(args.out)


if __name__ == "__main__":
    main()
