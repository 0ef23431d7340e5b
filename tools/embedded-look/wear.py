"""What creatures wear: a hat, a crown, a scarf. Every spot is (x, y, half the width there)."""

from pen import WHITE, mix


def hat(pen, spot, colour):
    x, y, w = spot
    pen.shape([(x - w * 0.8, y + 1), (x, y - 12), (x + w * 0.8, y + 1)], colour)
    pen.shape([(x - w * 0.52, y - 3.4), (x + w * 0.52, y - 3.4), (x + w * 0.36, y - 5.8), (x - w * 0.36, y - 5.8)], mix(colour, WHITE, 0.65), None)
    pen.oval(x, y + 1, w * 1.15, 1.7, colour)
    pen.oval(x, y - 12.4, 2, 2, WHITE)


def crown(pen, spot):
    x, y, w = spot
    pen.shape([(x - w, y + 1.6), (x - w * 1.15, y - 6.4), (x - w * 0.5, y - 2.6), (x, y - 8), (x + w * 0.5, y - 2.6), (x + w * 1.15, y - 6.4),
               (x + w, y + 1.6)], (255, 206, 62))
    pen.oval(x, y - 1.4, 1.3, 1.3, (226, 62, 84), None)


def scarf(pen, spot, colour):
    x, y, w = spot
    pen.shape([(x - w * 0.75, y), (x - w * 0.2, y), (x - w * 0.3, y + 9), (x - w * 0.8, y + 9)], colour)
    pen.oval(x, y, w * 1.05, 2.3, colour)
