"""What stands on the street: trees, cars, people, lamp posts and signs.

Each function draws one thing `depth` meters away; u runs from -1 to 1 across it, v from
0 at the ground to 1 at its top.
"""

import numpy as np

from keras_danet.data.classes.scenes import CAR, PERSON, POLE, SIGN, TREE
from keras_danet.data.street.background import leaf_color
from keras_danet.data.street.canvas import smooth_noise

VOID = 255


def things(street, rng):
    """(depth in meters, function that draws it there) of everything on the street."""
    kinds = (
        (_draw_tree, rng.integers(1, 6), 6, 40),
        (_draw_car, rng.integers(1, 6), 5, 40),
        (_draw_person, rng.integers(1, 6), 4, 22),
        (_draw_pole, rng.integers(1, 5), 4, 30),
        (_draw_sign, rng.integers(1, 4), 4, 18),
    )
    for draw, count, near, far in kinds:
        for depth in near * (far / near) ** rng.random(count):
            yield depth, draw


def _beside_road(street, rng, reach=1.0):
    side = rng.choice([-1, 1])
    room = street.walls[side] - street.curb
    return side * (street.curb + room * rng.uniform(0.1, 0.9) * reach)


def _draw_tree(street, rng, depth):
    tall, wide = rng.uniform(4, 8), rng.uniform(2.5, 5)
    stand = street.stand(_beside_road(street, rng, 0.7), depth, wide, tall)
    if stand is None:
        return
    window, u, v = stand
    noise = rng.standard_normal(np.broadcast(u, v).shape, dtype="float32")
    ragged = smooth_noise(rng, *noise.shape, 7)
    crown = u**2 + ((v - 0.66) / 0.34) ** 2 + 0.25 * ragged < 0.85
    bark = (np.abs(u) < 0.07) & (v < 0.5)
    street.paint((window, bark), rng.uniform(0.15, 0.4, 3), TREE, depth)
    leaves = leaf_color(rng) * (1 + 0.25 * noise + 0.3 * (v - 0.6))[..., None]
    street.paint((window, crown), leaves, TREE, depth)


def _draw_car(street, rng, depth):
    lane = rng.choice([-0.78, -0.4, 0.4, 0.78]) * street.curb
    across_street = rng.random() < 0.2
    wide, tall = (4.2, 1.5) if across_street else (1.9, rng.uniform(1.4, 2))
    stand = street.stand(lane, depth, wide, tall)
    if stand is None:
        return
    window, u, v = stand
    u = u * rng.choice([-1, 1])
    shape, panes, wheels, lamps = (_car_side if across_street else _car_end)(u, v)
    under = (np.abs(u) < 0.95) & (v < 0.12)
    street.image[window][under] *= 0.35
    paint = rng.uniform(0.05, 0.95) + rng.uniform(-0.35, 0.35, 3) * (rng.random() < 0.6)
    body = np.clip(paint, 0.03, 1) * (0.75 + 0.4 * v + 0 * u)[..., None]
    street.paint((window, shape), body, CAR, depth)
    street.paint((window, panes), rng.uniform(0.05, 0.45), CAR)
    street.paint((window, wheels), 0.07, CAR, depth)
    street.paint((window, lamps), rng.choice([[0.9, 0.1, 0.1], [1, 1, 0.85]]), CAR)
    _outline(street, window, shape | wheels)


def _car_end(u, v):
    """Body, windows, wheels and lamps of a car seen from the front or the back."""
    side = np.abs(u)
    cabin = (v >= 0.55) & (side < 0.85 - 0.45 * (v - 0.55)) & (v < 0.98)
    body = ((v > 0.15) & (v < 0.6) & (side < 0.96)) | cabin
    panes = (v > 0.6) & (v < 0.9) & (side < 0.72 - 0.4 * (v - 0.6))
    wheels = (side > 0.6) & (side < 0.93) & (v < 0.3)
    lamps = (side > 0.62) & (side < 0.92) & (v > 0.38) & (v < 0.52)
    return body, panes, wheels, lamps


def _car_side(u, v):
    """The same for a car seen from its side."""
    cabin = (v >= 0.55) & (np.abs(u + 0.1) < 0.72 - 0.6 * (v - 0.55)) & (v < 0.98)
    body = ((v > 0.18) & (v < 0.62) & (np.abs(u) < 0.98)) | cabin
    panes = (v > 0.62) & (v < 0.9) & (np.abs(u + 0.1) < 0.6 - 0.6 * (v - 0.62))
    panes &= np.abs(u + 0.1) > 0.04
    wheels = (np.abs(u) - 0.6) ** 2 / 0.03 + (v - 0.2) ** 2 / 0.045 < 1
    lamps = (np.abs(u) > 0.88) & (np.abs(u) < 0.97) & (v > 0.4) & (v < 0.52)
    return body, panes, wheels, lamps


def _draw_person(street, rng, depth):
    crossing = rng.random() < 0.25
    across = (
        street.curb * rng.uniform(-0.8, 0.8) if crossing else _beside_road(street, rng)
    )
    tall = rng.uniform(1.2, 1.9)
    stand = street.stand(across, depth, tall * 0.42, tall)
    if stand is None:
        return
    window, u, v = stand
    stride = rng.uniform(0.15, 0.5) * (1 - v / 0.5)
    legs = (v < 0.5) & (np.abs(np.abs(u) - 0.2 - stride) < 0.2)
    trunk = (v >= 0.42) & (v < 0.83) & (np.abs(u) < 0.55 - 0.3 * (v - 0.42))
    arms = (v > 0.45) & (v < 0.8) & (np.abs(np.abs(u) - 0.62 - 0.3 * (0.8 - v)) < 0.14)
    head = (u / 0.33) ** 2 + ((v - 0.91) / 0.09) ** 2 < 1
    coat = rng.uniform(0.05, 0.9, 3)
    street.paint((window, legs), rng.uniform(0.05, 0.6, 3), PERSON, depth)
    street.paint((window, trunk), coat, PERSON, depth)
    street.paint((window, arms), coat * 0.85, PERSON, depth)
    skin = np.array([0.85, 0.65, 0.52]) * rng.uniform(0.35, 1.1)
    street.paint((window, head), skin, PERSON, depth)
    _outline(street, window, legs | trunk | arms | head)


def _draw_pole(street, rng, depth):
    """A lamp post at the curb, with or without an arm over the road."""
    side = rng.choice([-1, 1])
    across, tall = side * (street.curb + 0.5), rng.uniform(4, 7)
    gray = rng.uniform(0.08, 0.7) * np.array([1, 1, rng.uniform(0.9, 1.1)])
    for left, wide, low in ((0, 0.16, 0), (-side * 0.9, 1.8, 0.97)):
        stand = street.stand(across + left, depth, wide, tall)
        if stand is None or (low and tall < 5):
            continue
        window, u, v = stand
        thick = max(1 - low, 1.1 * depth / (street.focal * tall)) if low else 2
        street.paint((window, (v > 1 - thick) & (u < 9)), gray, POLE, depth)


def _draw_sign(street, rng, depth):
    across = _beside_road(street, rng, 0.5)
    tall, wide = rng.uniform(2.2, 3), rng.uniform(0.6, 1)
    post = street.stand(across, depth, 0.08, tall)
    plate = street.stand(across, depth, wide, tall)
    if post is None or plate is None:
        return
    window, u, v = post
    street.paint((window, (v < 0.9) & (u < 9)), rng.uniform(0.2, 0.7), POLE, depth)
    window, u, v = plate
    half = wide / 2 / tall
    w = (v - 1 + half) / half  # -1..1 over the height of the plate
    shapes = (u**2 + w**2 < 1, np.maximum(np.abs(u), np.abs(w)) < 0.9)
    shape = (*shapes, (w > -0.8) & (np.abs(u) < 0.55 - 0.55 * w))[rng.integers(3)]
    colors = ([0.8, 0.1, 0.1], [0.1, 0.25, 0.7], [0.9, 0.9, 0.9], [0.9, 0.75, 0.1])
    color = np.array(colors[rng.integers(4)]) * rng.uniform(0.7, 1.1)
    street.paint((window, shape), color, SIGN, depth)
    center = shape & (u**2 + w**2 < rng.uniform(0.1, 0.4))
    street.paint((window, center), rng.choice([0.1, 0.95]), SIGN)


def _outline(street, window, shape):
    """Void on the rim of a thing that is large enough to have an inside."""
    if min(shape.shape) < 20:
        return
    inside = np.pad(shape, 1)
    inside = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    street.label[window][shape & ~inside] = VOID
