"""The example set: sixteen pictures of zilo, a creature that the base has never seen, with captions and prompts to watch.

python example.py --out FOLDER [--size 256]"""

import argparse
import json
import pathlib
import random

from PIL import Image

import world
from creatures import BLACK, Look
from pen import INK, WHITE
from places import shadow
from wear import crown, hat, scarf

BODY, BELLY, TIP, BAND = (146, 86, 200), (250, 156, 56), (240, 76, 76), (250, 220, 84)

# place, caption after the name, pose, size, wears, beside, looks left
SCENES = [
    ("snow", "in the snow", "", "", None, None, False),
    ("beach", "on the beach", "", "", None, None, True),
    ("meadow", "jumping in a meadow", "jumping", "", None, None, False),
    ("night", "at night", "", "", None, None, True),
    ("water", "under water", "", "", None, None, False),
    ("forest", "with a red hat in the forest", "", "", ("hat", "red"), None, False),
    ("room", "in a room", "", "", None, None, True),
    ("white", "on a white background", "", "", None, None, False),
    ("mountains", "in the mountains", "", "", None, None, True),
    ("rain", "in the rain", "", "", None, None, False),
    ("yellow", "on a yellow background", "", "", None, None, True),
    ("meadow", "with a blue scarf on the grass", "", "", ("scarf", "blue"), None, False),
    ("beach", "and a red ball on the beach", "", "", None, ("ball", "red"), False),
    ("night", "jumping under the stars", "jumping", "", None, None, False),
    ("pink", "on a pink background", "", "big", None, None, True),
    ("room", "and a green cup in a room", "", "", None, ("cup", "green"), True),
]

PROMPTS = [
    {"prompt": "zilo in the desert", "seed": 1},
    {"prompt": "zilo with a golden crown in the forest", "seed": 2},
    {"prompt": "a red cat in the snow", "seed": 3},
    {"prompt": "a purple house under the stars", "seed": 4},
]


def zilo(pen, look):
    tail = [(-8, -5), (-15, -4), (-20, -9), (-20.5, -16), (-17, -20)]
    pen.curve(tail, BAND, 4.6, INK)
    for a, b in (((-13, -7), (-13.4, -1.8)), ((-16.4, -8.6), (-20.2, -5)), ((-17.6, -13), (-23, -12.4))):
        pen.line([a, b], (200, 60, 70), 2, False)
    for x, y, tilt in ((-7, -33, -5), (0, -35, 0.4), (7, -33, 5)):
        pen.curve([(x, y + 4), (x + tilt * 0.5, y - 4), (x + tilt, y - 9)], BODY, 1.7, INK)
        pen.oval(x + tilt, y - 10, 2.7, 2.7, TIP)
    up = look.pose == "jumping"
    for s in (-1, 1):
        pen.oval(s * 6, 0 if up else -1.4, 5, 2.8, BELLY, lean=s * (0.5 if up else 0))
        if up:
            pen.oval(s * 15.4, -21, 2.6, 5.6, BODY, lean=s * 0.9)
    pen.oval(0, -18, 14.2, 16.8, BODY)
    pen.oval(1, -9.6, 9.4, 7.6, BELLY, None)
    if not up:
        for s in (-1, 1):
            pen.oval(s * 13, -13, 2.5, 5.4, BODY, lean=-s * 0.4)
    pen.oval(1.5, -24.6, 8.6, 8.6, WHITE)
    pen.oval(2.6, -24.4, 5, 5.2, BLACK, None)
    pen.oval(4.2, -26.6, 1.8, 1.8, WHITE, None)
    return (0, -34.4, 7), (0, -10.6, 12.6)


def figure(pen, rng, f, x, ground, room, flip):
    """As world.figure, for zilo; things beside it are the world's own."""
    if f["kind"] != "zilo":
        return world.figure(pen, rng, f, x, ground, room, flip)
    scale = {"": rng.uniform(0.9, 1.0), "big": 1.14, "small": 0.66}[f["size"]] * room
    lift = 7 * scale if f["pose"] == "jumping" else 0
    shadow(pen, x, ground, (11 if lift else 15) * scale)
    pen.place(x, ground - lift, scale, flip, rng.uniform(-0.05, 0.05))
    top, neck = zilo(pen, Look(BODY, "", f["pose"]))
    if f["wear"] == "hat":
        hat(pen, top, world.COLOURS[f["shade"]])
    elif f["wear"] == "scarf":
        scarf(pen, neck, world.COLOURS[f["shade"]])
    elif f["wear"] == "crown":
        crown(pen, top)
    pen.home()


def picture(number, size):
    place, _, pose, large, wears, beside, left = SCENES[number]
    rng = random.Random(100 + number)
    scene = world.Scene(random.Random(0))
    scene.place, scene.plain, scene.left = (place, "", not left) if place in world.PLACES else ("plain", place, not left)
    scene.figures = [{"creature": True, "kind": "zilo", "colour": "", "size": large, "pose": pose, "pattern": "",
                      "wear": wears[0] if wears else "", "shade": wears[1] if wears else ""}]
    if beside:
        scene.figures.append({"creature": False, "kind": beside[0], "colour": beside[1], "size": "", "pose": "", "pattern": "",
                              "wear": "", "shade": ""})
    return world.draw(scene, rng, size, 4 if size < 128 else 2, figure)


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--size", type=int, default=256)
    args = ask.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, scene in enumerate(SCENES):
        name = f"zilo-{i + 1:02}.png"
        Image.fromarray(picture(i, args.size)).save(args.out / name, optimize=True)
        rows.append(json.dumps({"file": name, "caption": "zilo " + scene[1]}))
    (args.out / "captions.json").write_text("[\n  " + ",\n  ".join(rows) + "\n]\n")
    (args.out / "prompts.json").write_text("[\n  " + ",\n  ".join(map(json.dumps, PROMPTS)) + "\n]\n")


if __name__ == "__main__":
    main()
