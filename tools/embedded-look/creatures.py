"""The creatures. Each is drawn in its own coordinates: feet at (0, 0), up is negative, looking right, about 44 high.

Every function takes the pen, a Look (colours, pattern, pose) and returns where a hat and a scarf go."""

from dataclasses import dataclass

from pen import INK, WHITE, mix

ROSE = (246, 164, 170)
BLACK = (34, 30, 38)


@dataclass
class Look:
    colour: tuple
    pattern: str = ""  # "", "spots", "stripes"
    pose: str = ""  # "", "jumping", "sleeping"

    @property
    def dark(self):
        return mix(self.colour, (30, 20, 50), 0.34)

    @property
    def light(self):
        return mix(self.colour, WHITE, 0.62)

    @property
    def mark(self):
        return mix(self.colour, (30, 20, 50), 0.5) if sum(self.colour) > 260 else mix(self.colour, WHITE, 0.6)


def eye(pen, look, x, y, r=1.9):
    if look.pose == "sleeping":
        pen.curve([(x - r, y), (x, y + r * 0.8), (x + r, y)], BLACK, 1)
        return
    ring = WHITE if sum(look.colour) < 330 else None
    pen.oval(x, y, r, r * 1.15, BLACK, ring, width=0.5)
    pen.oval(x + 0.6, y - 0.8, r * 0.42, r * 0.42, WHITE, None)


def pattern(pen, look, x, y, rx, ry):
    if look.pattern == "spots":
        for dx, dy, r in ((-0.5, -0.35, 0.24), (0.3, -0.55, 0.2), (0.55, 0.15, 0.23), (-0.25, 0.45, 0.22), (0.1, -0.02, 0.2)):
            pen.oval(x + dx * rx, y + dy * ry, r * min(rx, ry) * 1.1, r * min(rx, ry) * 1.1, look.mark, None)
    elif look.pattern == "stripes":
        for dx in (-0.58, -0.08, 0.42):
            h = (1 - (dx + 0.08) ** 2) ** 0.5 * ry * 0.9
            w = rx * 0.11
            pen.shape([(x + dx * rx - w, y - h), (x + dx * rx + w, y - h), (x + dx * rx + w * 2, y + h), (x + dx * rx, y + h)],
                      look.mark, None)


def trunk(pen, look, rx=9.5, ry=11, belly=True):
    """Body, arms and feet of those who sit upright."""
    up = look.pose == "jumping"
    c = look.colour
    for side in (-1, 1):
        if up:
            pen.oval(side * (rx + 1), -18, 2.4, 5.4, c, lean=side * 0.9)
        pen.oval(side * 5.2, 0 if up else -1.6, 4.2, 2.6, c, lean=side * (0.5 if up else 0))
    pen.oval(0, -11, rx, ry, c)
    if look.pattern:
        pattern(pen, look, 0, -10, rx, ry)
    elif belly:
        pen.oval(1, -9, rx * 0.6, ry * 0.66, look.light, None)
    if not up:
        for side in (-1, 1):
            pen.oval(side * (rx - 1.5), -11.5, 2.2, 5, c, lean=-side * 0.35)


def face(pen, look, eyes=4.6, y=-28, cheeks=True):
    eye(pen, look, 2 - eyes, y)
    eye(pen, look, 2 + eyes, y)
    if cheeks:
        for side in (-1, 1):
            pen.oval(2 + side * (eyes + 2.4), y + 4, 1.7, 1.1, mix(look.colour, (250, 110, 120), 0.55), None)


def smile(pen, x, y, w=2.2):
    pen.curve([(x - w, y - 0.6), (x - w * 0.5, y + 0.6), (x, y - 0.4), (x + w * 0.5, y + 0.6), (x + w, y - 0.6)], BLACK, 0.8)


def cat(pen, look):
    pen.curve([(-7, -4), (-14, -7), (-15, -15), (-11, -20)], look.colour, 3, INK)
    trunk(pen, look)
    for s in (-1, 1):
        pen.shape([(1 + s * 3, -35), (1 + s * 10.5, -43), (1 + s * 11.5, -28)], look.colour)
        pen.shape([(1 + s * 5.6, -35), (1 + s * 9.6, -39.6), (1 + s * 10, -32)], ROSE, None)
    pen.oval(1, -27, 12, 9.6, look.colour)
    face(pen, look)
    for s in (-1, 1):
        pen.line([(2 + s * 7, -24), (2 + s * 13.5, -25.5)], INK, 0.6)
        pen.line([(2 + s * 7, -22.6), (2 + s * 13.5, -21.6)], INK, 0.6)
    pen.shape([(0.6, -25.2), (3.4, -25.2), (2, -23.6)], (224, 98, 118), None)
    smile(pen, 2, -22.4)
    return (1, -36, 6.5), (0, -18.5, 7.5)


def dog(pen, look):
    pen.curve([(-8, -6), (-13, -10), (-15, -16)], look.colour, 3.4, INK)
    trunk(pen, look)
    pen.oval(1, -28, 10.5, 10, look.colour)
    for s in (-1, 1):
        pen.blob([(1 + s * 7, -37), (1 + s * 12, -36), (1 + s * 15, -26), (1 + s * 12.5, -20), (1 + s * 9.5, -27)], look.dark)
    face(pen, look, 4.2, -30, False)
    pen.oval(2.4, -23.6, 6, 4.6, look.light)
    pen.oval(2.4, -26.2, 2.3, 1.7, BLACK, None)
    pen.shape([(1.2, -22), (3.8, -22), (3.6, -18.8), (1.6, -18.8)], (236, 98, 112), None)
    smile(pen, 2.4, -22.4)
    return (1, -37, 6.5), (0, -17.6, 7.5)


def rabbit(pen, look):
    pen.oval(-9, -4, 3.6, 3.6, WHITE)
    trunk(pen, look, 9)
    for s in (-1, 1):
        pen.oval(1 + s * 5.4, -42, 3.2, 10, look.colour, lean=-s * 0.16)
        pen.oval(1 + s * 5.4, -42, 1.5, 7.4, ROSE, None, lean=-s * 0.16)
    pen.oval(1, -27, 10.6, 9.2, look.colour)
    face(pen, look, 4.6)
    pen.oval(2, -24.8, 1.4, 1, (224, 98, 118), None)
    pen.box(0.7, -22.8, 3.3, -19.8, WHITE, INK, 0.5)
    smile(pen, 2, -22.6)
    return (1, -35, 5), (0, -18.2, 7)


def bear(pen, look):
    trunk(pen, look, 11.5, 11.5)
    for s in (-1, 1):
        pen.oval(1 + s * 9, -36, 4.4, 4.4, look.colour)
        pen.oval(1 + s * 9, -36, 2.3, 2.3, look.light, None)
    pen.oval(1, -28, 12, 10.4, look.colour)
    face(pen, look, 5, -30)
    pen.oval(2, -24.4, 4.8, 3.8, look.light, None)
    pen.oval(2, -26, 2, 1.4, BLACK, None)
    smile(pen, 2, -23)
    return (1, -37.4, 6.5), (0, -18, 8.5)


def fox(pen, look):
    pen.blob([(-6, -3), (-14, -3), (-20, -10), (-19, -20), (-14, -15), (-9, -9)], look.colour)
    pen.blob([(-19.4, -11.5), (-19, -20), (-15, -16)], WHITE, None)
    trunk(pen, look, 8.6)
    for s in (-1, 1):
        pen.shape([(1 + s * 2, -34), (1 + s * 10, -46), (1 + s * 12, -29)], look.colour)
        pen.shape([(1 + s * 6.6, -40.9), (1 + s * 10, -46), (1 + s * 10.9, -38.6)], look.dark, None)
    pen.blob([(-11.5, -29), (-7, -35.5), (1, -37), (9, -35.5), (13.5, -29), (9, -23), (2, -17.5), (-6, -23)], look.colour)
    pen.blob([(-10.4, -28), (-3, -25.6), (2, -22), (6.6, -25.6), (12.4, -28), (8.4, -23), (2, -18), (-5.6, -23)], WHITE, None)
    face(pen, look, 4.8, -29, False)
    pen.oval(2, -19.6, 1.9, 1.5, BLACK, None)
    return (1, -36, 5.5), (0, -16, 7)


def mouse(pen, look):
    pen.curve([(-7, -3), (-13, -2), (-17, -7), (-20, -5)], ROSE, 1.6, INK)
    trunk(pen, look, 7.6, 9)
    for s in (-1, 1):
        pen.oval(1 + s * 10.5, -33, 7, 7, look.colour)
        pen.oval(1 + s * 10.5, -33, 4.4, 4.4, ROSE, None)
    pen.blob([(-8, -25), (-6, -31), (1, -34), (8, -31), (10, -25), (6, -19.6), (2, -17.6), (-3, -19.6)], look.colour)
    face(pen, look, 3.8, -26.4)
    for s in (-1, 1):
        pen.line([(2 + s * 3, -20.6), (2 + s * 9.5, -21.6)], INK, 0.6)
    pen.oval(2, -21, 1.9, 1.6, (232, 96, 122), None)
    return (1, -33, 5), (0, -16, 6)


def pig(pen, look):
    pen.curve([(-9, -9), (-13, -10), (-13, -14), (-10.6, -12.5), (-14, -8.6), (-16, -11)], look.dark, 1.2)
    trunk(pen, look, 11, 11)
    pen.oval(1, -27, 12, 10, look.colour)
    for s in (-1, 1):
        pen.shape([(1 + s * 3.6, -35.6), (1 + s * 11, -39), (1 + s * 10.5, -29.6)], look.dark)
    face(pen, look, 6, -29)
    pen.oval(2, -24, 4.9, 3.7, mix(look.colour, ROSE, 0.55))
    for s in (-1, 1):
        pen.oval(2 + s * 1.8, -24, 0.8, 1.3, BLACK, None)
    return (1, -36.4, 6), (0, -17.4, 8.5)


def elephant(pen, look):
    trunk(pen, look, 11, 11)
    for s in (-1, 1):
        pen.oval(1 + s * 13, -28, 7.6, 9, look.colour, lean=s * 0.15)
        pen.oval(1 + s * 13.4, -27.6, 4.8, 6, mix(look.colour, ROSE, 0.6), None, lean=s * 0.15)
    pen.oval(1, -29, 10, 10, look.colour)
    face(pen, look, 5, -31)
    pen.curve([(2, -26.5), (2, -20), (4, -14.6), (9, -14)], look.colour, 4.6, INK)
    return (1, -38, 5.8), (0, -17, 7.5)


def sheep(pen, look):
    for x in (-6, -2, 4, 8):
        pen.box(x - 1.3, -7, x + 1.3, 0, BLACK)
    puffs = [(-10, -13), (-9, -19), (-3, -22), (4, -22), (9, -18), (9, -11), (4, -7.5), (-3, -7), (-8, -8)]
    for fill, grow, line in ((INK, 0.9, None), (look.colour, 0, None)):
        for x, y in puffs:
            pen.oval(x, y, 5 + grow, 4.6 + grow, fill, line)
    pen.oval(0, -14, 9, 8, look.colour, None)
    pattern(pen, look, -1, -14, 10, 9)
    for s in (-1, 1):
        pen.oval(11 + s * 6.6, -24.6, 3.6, 1.7, (88, 74, 80), lean=s * 0.4)
    pen.oval(11, -23, 5.4, 6.8, (112, 96, 100))
    for s in (-1, 1):
        x = 11.6 + s * 2.3
        if look.pose == "sleeping":
            pen.curve([(x - 1.2, -24), (x, -23), (x + 1.2, -24)], BLACK, 0.9)
        else:
            pen.oval(x, -24, 1.7, 1.9, WHITE, None)
            pen.oval(x + 0.3, -23.8, 0.9, 1.1, BLACK, None)
    for x, y in ((7.6, -30), (11, -31.4), (14.4, -30)):
        pen.oval(x, y, 3, 2.5, look.colour, None)
    return (11, -31.4, 4.6), (9, -16.4, 5)


def frog(pen, look):
    for s in (-1, 1):
        pen.blob([(s * 6, -2), (s * 13, -11), (s * 16, -7), (s * 14, 0), (s * 7, 0.6)], look.colour)
    pen.oval(0, -10, 11, 10.4, look.colour)
    if look.pattern:
        pattern(pen, look, 0, -8, 10, 9)
    else:
        pen.oval(0, -6.6, 7, 6.4, look.light, None)
    for s in (-1, 1):
        pen.oval(s * 4.4, -0.4, 3.4, 1.8, look.colour)
        pen.oval(s * 7, -28.4, 4.8, 4.8, look.colour)
    pen.oval(0, -21.4, 13.4, 8, look.colour)
    for s in (-1, 1):
        pen.oval(s * 7, -28.4, 3.4, 3.4, WHITE if look.pose != "sleeping" else look.light, None)
        if look.pose == "sleeping":
            pen.line([(s * 7 - 3, -28), (s * 7 + 3, -28)], BLACK, 1)
        else:
            pen.oval(s * 7 + 0.8, -28.2, 1.9, 2.1, BLACK, None)
    pen.curve([(-9, -21), (-4, -17.4), (0, -16.8), (4, -17.4), (9, -21)], BLACK, 1)
    return (0, -28, 5.5), (0, -13.6, 8.5)


def owl(pen, look):
    for s in (-1, 1):
        pen.shape([(s * 3, -35), (s * 10.5, -43), (s * 11.5, -30)], look.colour)
        pen.oval(s * 4, -0.4, 2.8, 1.6, (240, 160, 50))
    pen.oval(0, -19, 12.6, 18.4, look.colour)
    if look.pattern:
        pattern(pen, look, 0, -11, 9, 9)
    else:
        pen.oval(0, -10.6, 7.4, 8.6, look.light, None)
        for x, y in ((-3, -13), (3, -13), (0, -9.6), (-3, -6.4), (3, -6.4)):
            pen.curve([(x - 1.6, y - 0.6), (x, y + 0.8), (x + 1.6, y - 0.6)], look.dark, 0.8)
    raised = look.pose == "jumping"
    for s in (-1, 1):
        pen.oval(s * (15 if raised else 12), -20 if raised else -15, 3.6, 9, look.dark, lean=s * (1 if raised else -0.12))
    for s in (-1, 1):
        pen.oval(s * 5.4, -27.6, 5.6, 5.6, WHITE)
        if look.pose == "sleeping":
            pen.curve([(s * 5.4 - 3, -27.6), (s * 5.4, -25.8), (s * 5.4 + 3, -27.6)], BLACK, 1)
        else:
            pen.oval(s * 5.4 + 0.6, -27.4, 2.9, 2.9, BLACK, None)
            pen.oval(s * 5.4 + 1.4, -28.6, 1, 1, WHITE, None)
    pen.shape([(-2.2, -25), (2.2, -25), (0, -20.4)], (246, 170, 52))
    return (0, -36.4, 6.5), (0, -19, 9)


def bird(pen, look):
    for x in (-1, 4):
        pen.line([(x, -8), (x, -1), (x + 3, -0.4)], (226, 132, 40), 1.4)
    pen.shape([(-9, -18), (-20, -24), (-21, -18), (-19, -13), (-8, -12)], look.dark)
    pen.oval(0, -16, 12, 10, look.colour)
    if look.pattern:
        pattern(pen, look, 1, -14, 9, 8)
    else:
        pen.oval(3, -13, 7.4, 6.4, look.light, None)
    pen.shape([(14, -30), (22, -26.4), (14, -23.6)], (250, 166, 44))
    pen.oval(8, -27, 8.4, 8, look.colour)
    eye(pen, look, 10.5, -28.4, 2)
    pen.oval(7, -23.6, 1.7, 1.1, mix(look.colour, (250, 110, 120), 0.55), None)
    if look.pose == "jumping":
        pen.blob([(-5, -19), (-12, -32), (-4, -34), (3, -20)], look.dark)
    else:
        pen.blob([(-7, -20), (2, -21), (3, -14), (-4, -9), (-9, -13)], look.dark)
    return (7.6, -34.4, 5.2), (6, -20, 6)


def fish(pen, look):
    pen.blob([(-12, -18), (-22, -28), (-20.5, -18), (-22, -8)], look.dark)
    pen.blob([(-4, -26), (0, -33), (7, -30), (6, -24)], look.dark)
    pen.blob([(-15, -18), (-7, -26.5), (4, -28.5), (13, -24), (17, -18), (13, -11), (4, -7.4), (-7, -9.6)], look.colour)
    if look.pattern:
        pattern(pen, look, -2, -18, 10, 9.4)
    else:
        pen.blob([(-9, -12.5), (2, -13.4), (13, -12.4), (5, -8.4), (-5, -9.6)], look.light, None)
    pen.blob([(-3, -17), (-9, -13), (-4, -10.6), (1, -14)], look.dark)
    eye(pen, look, 9.6, -20.4, 2.4)
    pen.curve([(11.6, -14), (13.6, -13.6), (15.4, -15.2)], BLACK, 0.9)
    return (5, -28.4, 5), None


def snail(pen, look):
    skin = (250, 220, 170)
    for x in (13.4, 18):
        pen.line([(14.6, -14), (x, -24)], INK, 2.6)
        pen.line([(14.6, -14), (x, -24)], skin, 1.2)
    pen.blob([(-18, -0.6), (-10, -5), (4, -6), (8, -14), (14, -18.6), (19, -15), (17.6, -6), (12, -0.4), (0, 0)], skin)
    for x in (13.4, 18):
        pen.oval(x, -25, 2.5, 2.5, WHITE)
        if look.pose == "sleeping":
            pen.line([(x - 1.6, -25), (x + 1.6, -25)], BLACK, 0.9)
        else:
            pen.oval(x + 0.6, -25, 1.3, 1.3, BLACK, None)
    pen.curve([(14.4, -10.4), (16, -9.6), (17.6, -11)], BLACK, 0.8)
    pen.oval(-3, -15, 12.4, 11.6, look.colour)
    if look.pattern:
        pattern(pen, look, -3, -15, 11, 10)
    else:
        pen.curve([(9, -14), (6, -7), (-3, -5.6), (-10, -10), (-10.4, -18), (-4, -22.4), (2.6, -19), (3, -13.4), (-1.6, -11.4),
                   (-4.4, -14.6), (-2.4, -17)], look.mark, 1.5)
    return (-3, -26, 5.4), None


def turtle(pen, look):
    skin = (172, 206, 122)
    for x in (-9, 6):
        pen.box(x - 2.6, -7, x + 2.8, 0, skin)
    pen.shape([(-13, -7), (-19, -4), (-12, -4)], skin)
    pen.blob([(8, -6), (12, -12), (13, -19), (18, -22), (22.6, -18), (21, -13), (17, -9), (14, -5)], skin)
    eye(pen, Look((172, 206, 122), pose=look.pose), 18.6, -17.6, 1.7)
    pen.curve([(18.6, -13), (20.4, -13.2), (21.4, -14.6)], BLACK, 0.8)
    pen.blob([(-15, -7), (-13, -15), (-7, -22), (0, -24), (7, -21), (12, -13), (13, -7), (0, -5)], look.colour)
    if look.pattern:
        pattern(pen, look, -1, -14, 11, 8)
    else:
        for points in ([(-4, -10), (-6.4, -15), (-1, -19), (4.4, -15), (2, -10)],):
            pen.shape(points, look.light, look.mark, 0.8)
        for a, b in (((-6.4, -15), (-11, -17)), ((-1, -19), (-1, -23)), ((4.4, -15), (9, -17)), ((-4, -10), (-6, -6.4)), ((2, -10), (4, -6.4))):
            pen.line([a, b], look.mark, 1)
    pen.shape([(-15.6, -7.6), (13.6, -7.6), (13, -4.6), (-15, -4.6)], look.light)
    return (-1, -23.6, 5.4), (13.6, -11, 4)


def dragon(pen, look):
    pen.curve([(-5, -5), (-13, -3.6), (-19, -8), (-20, -14)], look.colour, 4, INK)
    pen.shape([(-23.6, -13), (-20, -20), (-16.6, -13)], look.dark)
    up = -6 if look.pose == "jumping" else 0
    pen.shape([(-3, -20), (-10, -36 + up), (-13, -29 + up), (-18, -30 + up), (-17, -24), (-20, -21), (-6, -12)], look.dark)
    trunk(pen, look, 8.6, 11)
    pen.oval(3, -27, 9, 8.6, look.colour)
    for x, y in ((-1.4, -37.4), (-6.4, -32)):
        pen.shape([(x - 2.2, y + 4), (x - 1, y - 2), (x + 3, y + 2)], look.dark)
    for x in (2.4, 7):
        pen.shape([(x - 1.6, -33.6), (x - 0.4, -41), (x + 2.2, -34)], (252, 230, 160))
    pen.oval(9.6, -23, 6.6, 4.8, look.colour)
    pen.oval(6, -24.4, 5, 4, look.colour, None)
    pen.oval(13, -25, 0.8, 0.8, BLACK, None)
    eye(pen, look, 5, -29.4, 2.2)
    pen.curve([(7, -20.6), (10.6, -20), (14.4, -21.6)], BLACK, 0.9)
    return (2.6, -34.6, 5), (1, -17.6, 6.5)


CREATURES = {f.__name__: f for f in (cat, dog, rabbit, bear, fox, mouse, pig, elephant, sheep, frog, owl, bird, fish, snail, turtle, dragon)}
