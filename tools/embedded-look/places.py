"""The places in which the figures stand. Each is drawn over the whole picture; 'ground' says where feet go."""

from pen import INK, WHITE, mix


def sky(pen, top, bottom, end=64, bands=8):
    for i in range(bands):
        y = end * i / bands
        pen.box(-1, y, 65, end * (i + 1) / bands + 0.3, mix(top, bottom, i / (bands - 1)), None)


def hill(pen, rng, y, fill, swing=2.5):
    a, b = rng.uniform(-swing, swing), rng.uniform(-swing, swing)
    pen.blob([(-12, y + a), (12, y + b), (36, y - a), (76, y - b), (80, 90), (-20, 90)], fill, None)


def cloud(pen, x, y, s, fill):
    for dx, dy, r in ((-3, 0, 2.4), (0, -1.4, 3.2), (3.4, 0, 2.4)):
        pen.oval(x + dx * s, y + dy * s, r * s * 1.2, r * s * 0.8, fill, None)


def star(pen, x, y, r):
    pen.spokes(x, y, r, r * 0.42, 4, (255, 244, 190), None)


def meadow(pen, rng):
    sky(pen, (142, 208, 246), (214, 240, 252))
    for _ in range(rng.randint(1, 2)):
        cloud(pen, rng.uniform(6, 58), rng.uniform(6, 14), rng.uniform(0.8, 1.3), WHITE)
    hill(pen, rng, 40, (150, 208, 110))
    hill(pen, rng, 47, (116, 190, 84))
    for _ in range(rng.randint(5, 8)):
        x, y = rng.uniform(2, 62), rng.uniform(51, 62)
        pen.oval(x, y, 1.3, 1.3, rng.choice([WHITE, (255, 222, 80), (250, 140, 170)]), None)
        pen.oval(x, y, 0.5, 0.5, (240, 170, 40), None)


def beach(pen, rng):
    sky(pen, (128, 206, 248), (206, 238, 250), 34)
    pen.oval(rng.uniform(8, 56), rng.uniform(7, 12), 5, 5, (255, 224, 92), None)
    pen.box(-1, 30, 65, 50, (44, 150, 208), None)
    for y in (34, 39):
        x = rng.uniform(-6, 6)
        pen.curve([(x, y), (x + 20, y + 0.8), (x + 40, y - 0.6), (x + 66, y)], (126, 204, 232), 0.8)
    hill(pen, rng, 45, WHITE, 1.2)
    hill(pen, rng, 46.5, (246, 220, 158), 1.2)
    if rng.random() < 0.6:
        x, y = rng.choice([rng.uniform(3, 12), rng.uniform(52, 61)]), rng.uniform(57, 61)
        pen.spokes(x, y, 3, 1.3, 5, (246, 132, 92), None)


def snow(pen, rng):
    sky(pen, (170, 196, 222), (222, 234, 244))
    hill(pen, rng, 40, (232, 240, 248))
    x = rng.choice([rng.uniform(4, 14), rng.uniform(50, 60)])
    for i in range(3):
        w = 3.5 + i * 1.6
        pen.shape([(x - w, 34 + i * 5), (x, 26 + i * 5), (x + w, 34 + i * 5)], (70, 122, 112), None)
        pen.shape([(x - w * 0.45, 29.5 + i * 5), (x, 26 + i * 5), (x + w * 0.45, 29.5 + i * 5)], WHITE, None)
    hill(pen, rng, 47, WHITE)
    for _ in range(16):
        pen.oval(rng.uniform(0, 64), rng.uniform(0, 62), 0.9, 0.9, WHITE, None)


def night(pen, rng):
    sky(pen, (20, 24, 66), (52, 62, 124))
    x, y = rng.choice([rng.uniform(8, 16), rng.uniform(48, 56)]), rng.uniform(8, 13)
    pen.oval(x, y, 5.5, 5.5, (252, 240, 196), None)
    pen.oval(x + 2.6, y - 1.4, 4.6, 4.6, (26, 31, 76), None)
    for _ in range(rng.randint(9, 13)):
        star(pen, rng.uniform(2, 62), rng.uniform(2, 40), rng.uniform(1.0, 1.9))
    hill(pen, rng, 47, (34, 66, 74))


def desert(pen, rng):
    sky(pen, (252, 190, 116), (254, 232, 178))
    pen.oval(rng.uniform(10, 54), 11, 6, 6, (252, 120, 64), None)
    hill(pen, rng, 40, (236, 182, 104))
    x = rng.choice([rng.uniform(5, 12), rng.uniform(52, 59)])
    green = (72, 146, 92)
    pen.line([(x, 46), (x, 28)], green, 3.4)
    pen.line([(x - 4.5, 33), (x - 4.5, 38), (x, 38)], green, 2.2)
    pen.line([(x + 4.5, 31), (x + 4.5, 36), (x, 36)], green, 2.2)
    hill(pen, rng, 46, (226, 162, 84))


def forest(pen, rng):
    sky(pen, (150, 200, 160), (196, 224, 176))
    xs = [rng.uniform(-2, 4), rng.uniform(11, 16), rng.uniform(48, 53), rng.uniform(60, 66), rng.uniform(24, 40)]
    for x in xs:
        pen.box(x - 1.8, 20, x + 1.8, 52, (112, 78, 54), None)
    for x in xs:
        green = rng.choice([(46, 112, 66), (58, 128, 70), (38, 98, 62)])
        y = rng.uniform(12, 18)
        pen.oval(x, y, 9, 8, green, None)
        pen.oval(x - 4, y - 7, 7, 7, mix(green, (110, 170, 90), 0.25), None)
    hill(pen, rng, 48, (84, 130, 66))
    for _ in range(5):
        x, y = rng.uniform(2, 62), rng.uniform(53, 62)
        pen.line([(x - 1, y - 2), (x, y), (x + 1, y - 2)], (54, 98, 50), 0.7)


def water(pen, rng):
    sky(pen, (74, 178, 226), (22, 88, 162))
    hill(pen, rng, 55, (212, 190, 130), 1.5)
    for _ in range(rng.randint(2, 3)):
        x = rng.choice([rng.uniform(2, 14), rng.uniform(50, 62)])
        h = rng.uniform(12, 22)
        pen.curve([(x, 60), (x + 2, 58 - h * 0.35), (x - 2, 58 - h * 0.7), (x + 1, 58 - h)], (44, 150, 96), 2)
    for _ in range(rng.randint(5, 8)):
        x, y, r = rng.uniform(3, 61), rng.uniform(3, 48), rng.uniform(0.9, 1.9)
        pen.oval(x, y, r, r, (150, 216, 242), None)
        pen.oval(x - r * 0.3, y - r * 0.3, r * 0.4, r * 0.4, WHITE, None)


def room(pen, rng):
    pen.box(-1, -1, 65, 50, rng.choice([(246, 222, 190), (238, 210, 204), (222, 224, 196)]), None)
    x = rng.choice([rng.uniform(2, 6), rng.uniform(44, 48)])
    pen.box(x, 6, x + 14, 22, (158, 212, 244), (132, 92, 62), 1.2)
    pen.line([(x + 7, 6), (x + 7, 22)], (132, 92, 62), 1)
    pen.line([(x, 14), (x + 14, 14)], (132, 92, 62), 1)
    pen.box(-1, 46, 65, 65, (188, 134, 90), None)
    pen.box(-1, 45, 65, 46.6, (140, 96, 66), None)
    pen.oval(32, 57, 27, 5, rng.choice([(206, 92, 92), (110, 140, 190), (120, 166, 120)]), None)


def mountains(pen, rng):
    sky(pen, (176, 212, 242), (232, 240, 248))
    for x, h in ((rng.uniform(4, 16), 30), (rng.uniform(50, 62), 28), (rng.uniform(28, 38), 38)):
        top, w = 46 - h, h * 0.75
        pen.shape([(x - w, 50), (x, top), (x + w, 50)], (126, 134, 160), None)
        pen.shape([(x - w * 0.26, top + h * 0.3), (x, top), (x + w * 0.26, top + h * 0.3), (x + w * 0.08, top + h * 0.22),
                   (x - w * 0.05, top + h * 0.36)], WHITE, None)
    hill(pen, rng, 46, (134, 172, 112))


def rain(pen, rng):
    sky(pen, (118, 130, 146), (168, 178, 190))
    for x in (rng.uniform(4, 18), rng.uniform(26, 38), rng.uniform(46, 60)):
        cloud(pen, x, rng.uniform(4, 8), rng.uniform(1.5, 2), (88, 98, 114))
    hill(pen, rng, 47, (104, 138, 108))
    pen.oval(rng.uniform(10, 54), 60, 9, 1.8, (142, 166, 190), None)
    for _ in range(18):
        x, y = rng.uniform(0, 64), rng.uniform(12, 60)
        pen.line([(x, y), (x - 1, y + 3.6)], (202, 222, 244), 0.8, False)


PLAIN = {
    "white": (255, 255, 255),
    "yellow": (252, 230, 142),
    "pink": (250, 206, 216),
    "blue": (176, 214, 240),
    "green": (196, 228, 178),
}

PLACES = {
    "meadow": (meadow, 57, ["in a meadow", "on the grass", "in a green meadow", "on a meadow"]),
    "beach": (beach, 58, ["on the beach", "on a beach", "at the seaside", "by the sea"]),
    "snow": (snow, 57, ["in the snow", "in snow", "in winter", "on a snowy day"]),
    "night": (night, 57, ["at night", "under the stars", "in the night", "under the moon"]),
    "desert": (desert, 57, ["in the desert", "in a desert", "on the sand dunes"]),
    "forest": (forest, 58, ["in the forest", "in a forest", "in the woods", "among the trees"]),
    "water": (water, 56, ["under water", "in the sea", "under the sea", "at the bottom of the sea"]),
    "room": (room, 58, ["in a room", "at home", "in the living room", "indoors"]),
    "mountains": (mountains, 57, ["in the mountains", "in front of mountains", "on a mountain"]),
    "rain": (rain, 57, ["in the rain", "on a rainy day", "in rainy weather"]),
}


def plain(pen, colour):
    pen.box(-1, -1, 65, 65, PLAIN[colour], None)


def shadow(pen, x, y, width):
    """A soft flat shade under a figure."""
    px = pen.image.getpixel((min(max(int(x * pen.unit), 0), pen.image.width - 1), int(min(y, 63) * pen.unit)))
    pen.oval(x, y, width, width * 0.17, mix(px, INK, 0.22), None)
