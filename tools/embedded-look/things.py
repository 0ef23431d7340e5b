"""The things. Standing at (0, 0), up is negative, some 40 high; colour is the thing's main colour."""

import math

from pen import INK, WHITE, mix


def dark(c):
    return mix(c, (30, 20, 50), 0.34)


def light(c):
    return mix(c, WHITE, 0.62)


def house(pen, c):
    pen.box(6, -40, 11, -26, dark(c))
    pen.box(-14, -22, 14, 0, light(c))
    pen.shape([(-19, -21), (0, -39), (19, -21)], c)
    pen.box(-3.4, -12, 3.4, 0, dark(c))
    pen.oval(1.7, -6, 0.8, 0.8, (250, 220, 120), None)
    for x in (-9, 9):
        pen.box(x - 3, -16.6, x + 3, -10.6, (255, 238, 150))
        pen.line([(x, -16.6), (x, -10.6)], INK, 0.7)


def car(pen, c):
    pen.blob([(-11, -12), (-8, -21), (0, -23.5), (8, -22), (13, -12)], c)
    pen.shape([(-8, -13), (-6, -19.4), (0.4, -20.6), (0.4, -13)], (190, 228, 248), INK, 0.6)
    pen.shape([(2.4, -13), (2.4, -20.6), (7, -19.4), (10, -13)], (190, 228, 248), INK, 0.6)
    pen.blob([(-20, -5), (-20, -11), (-12, -13), (12, -13), (20, -11), (21, -5), (12, -4), (-12, -4)], c)
    pen.oval(18.6, -9, 1.8, 1.8, (255, 236, 140))
    for x in (-11, 11):
        pen.oval(x, -4.6, 5, 5, (58, 54, 62))
        pen.oval(x, -4.6, 2.2, 2.2, (208, 208, 214), None)


def tree(pen, c):
    pen.shape([(-3.4, -18), (3.4, -18), (4.6, 0), (-4.6, 0)], (140, 96, 62))
    for fill, grow in ((INK, 0.9), (c, 0)):
        for x, y, r in ((-8, -23, 8), (8, -23, 8), (0, -33, 9.6), (0, -25, 9)):
            pen.oval(x, y, r + grow, r + grow, fill, None)
    for x, y in ((-7, -27), (4, -34), (6, -22)):
        pen.curve([(x - 2, y), (x, y + 1.6), (x + 2, y)], dark(c), 1)


def boat(pen, c):
    pen.box(-1, -40, 1, -10, (140, 96, 62))
    pen.shape([(2.6, -38), (17, -14), (2.6, -14)], WHITE)
    pen.shape([(-2.6, -34), (-13, -14), (-2.6, -14)], light(c))
    pen.blob([(-20, -11), (0, -10), (20, -11), (15, -2), (0, 0), (-15, -2)], c)
    pen.curve([(-16, -5.4), (0, -4), (16, -5.4)], light(c), 1.6)


def ball(pen, c):
    pen.oval(0, -14, 14, 14, c)
    pen.blob([(-4.6, -27), (4.6, -27), (6, -14), (4.6, -1), (-4.6, -1), (-6, -14)], WHITE, None)
    pen.oval(0, -14, 2.6, 2.6, dark(c), None)
    pen.oval(8.6, -21, 2.2, 2.2, light(c), None)


def star(pen, c):
    pen.spokes(0, -19, 20, 9.6, 5, c)
    for x in (-3.6, 3.6):
        pen.oval(x, -20, 1.6, 1.9, INK, None)
    pen.curve([(-2.6, -15.4), (0, -13.8), (2.6, -15.4)], INK, 0.9)


def flower(pen, c):
    pen.curve([(0, -22), (0.8, -10), (0, 0)], (70, 150, 76), 2, INK)
    pen.oval(6, -8, 6, 2.6, (96, 178, 88), lean=-0.5)
    pen.oval(-6, -6, 6, 2.6, (96, 178, 88), lean=0.5)
    for i in range(6):
        a = i * math.pi / 3
        pen.oval(8.4 * math.cos(a), -27 + 8.4 * math.sin(a), 5.2, 5.2, c)
    pen.oval(0, -27, 5.4, 5.4, (255, 214, 84) if c[2] > 110 or c[1] < 150 else (150, 92, 56))


def cup(pen, c):
    pen.curve([(11, -20), (20, -19), (20, -9), (10, -7)], c, 3, INK)
    pen.shape([(-13, -24), (13, -24), (10.6, 0), (-10.6, 0)], c)
    pen.oval(0, -24, 13, 3.4, light(c))
    pen.oval(0, -23.6, 10.6, 2.2, (120, 76, 52), None)
    for x in (-4, 4):
        pen.curve([(x, -28), (x + 2, -31), (x - 1, -34), (x + 1.4, -37)], (236, 236, 240), 1.6)


def mushroom(pen, c):
    pen.blob([(-6, -18), (-6.6, -2), (0, 0), (6.6, -2), (6, -18)], (250, 236, 208))
    pen.blob([(-19, -17), (-15, -28), (-6, -35), (6, -35), (15, -28), (19, -17), (8, -15), (-8, -15)], c)
    for x, y, r in ((-9, -23, 2.8), (0.6, -29.6, 3.2), (9.4, -22, 2.9)):
        pen.oval(x, y, r, r, WHITE, None)


def balloon(pen, c):
    pen.curve([(0, -14), (2, -9), (-2, -5), (0, 0)], INK, 0.8)
    pen.shape([(-2.4, -12), (0, -15), (2.4, -12)], c)
    pen.oval(0, -28, 11.6, 13.6, c)
    pen.oval(-4.4, -33, 2.4, 4, light(c), None, lean=0.4)


def heart(pen, c):
    pen.blob([(0, -26), (5, -33), (13, -33), (17, -26), (14, -17), (7, -9), (0, -2), (-7, -9), (-14, -17), (-17, -26), (-13, -33), (-5, -33)], c)
    pen.oval(-9, -26, 3, 3.6, light(c), None, lean=0.5)


def umbrella(pen, c):
    pen.curve([(0, -36), (0, -6), (2, -1), (6, -2), (6.4, -5)], (140, 96, 62), 1.5, INK)
    pen.blob([(-19, -19), (-14, -30), (0, -37), (14, -30), (19, -19), (12.6, -21.4), (6.3, -19), (0, -21.4), (-6.3, -19), (-12.6, -21.4)], c)
    for s in (-1, 1):
        pen.curve([(0, -36), (s * 5, -29), (s * 6.3, -19.6)], light(c), 1)


THINGS = {f.__name__: f for f in (house, car, tree, boat, ball, star, flower, cup, mushroom, balloon, heart, umbrella)}
