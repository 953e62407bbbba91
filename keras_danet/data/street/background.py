"""What stands behind everything: sky, houses and ground."""

import numpy as np

from keras_danet.data.classes.scenes import BUILDING, PAVEMENT, ROAD, TREE
from keras_danet.data.street.canvas import EYE, smooth_noise


def draw_sky(street, rng):
    height, width = street.label.shape
    tints = ([0.45, 0.65, 0.95], [0.75, 0.78, 0.82], [0.95, 0.7, 0.5], [0.5, 0.5, 0.55])
    zenith = np.array(tints[rng.integers(4)], "float32") * rng.uniform(0.7, 1.1)
    near_ground = 0.6 * zenith + 0.4 * rng.uniform(0.7, 1)
    mix = np.clip(street.rows / street.horizon, 0, 1)[..., None]
    street.image[:] = zenith * (1 - mix) + near_ground * mix
    clouds = np.clip(smooth_noise(rng, height, width, 9) * rng.uniform(0, 0.35), 0, 0.6)
    street.image += clouds[..., None] * (1 - street.image)
    street.haze = near_ground
    # The far end of the street: a low skyline of trees or houses.
    skyline = np.abs(smooth_noise(rng, 1, width, 24)) * height * 0.07 + 1
    far = (street.rows > street.horizon - skyline) & (street.rows < street.horizon + 2)
    leafy = rng.random() < 0.5
    color = leaf_color(rng) if leafy else rng.uniform(0.3, 0.7, 3)
    street.paint(far, color, TREE if leafy else BUILDING, 90)


def draw_facades(street, rng):
    """Rows of houses along both sides, their heights and colors changing with depth."""
    grain = 1 + 0.06 * smooth_noise(rng, *street.label.shape, 40)
    for side in (-1, 1):
        offset = np.maximum(side * (street.columns - street.vanishing), 1e-3)
        depth = street.focal * street.walls[side] / offset  # (1, W)
        ends = np.cumsum(rng.uniform(5, 14, 9)).astype("float32") + 2
        house = np.minimum(np.searchsorted(ends, depth[0]), 8)
        tall = np.where(rng.random(9) < 0.2, 0, rng.uniform(4, 15, 9))
        tall = tall.astype("float32")[house]
        up = EYE + (street.horizon - street.rows) * depth / street.focal  # (H, W)
        mask = (up >= 0) & (up < tall) & (depth < ends[-1])
        light = 1.1 if side == street.sun else 0.75
        paint = rng.uniform(0.2, 0.9, (9, 1)) + rng.uniform(-0.2, 0.2, (9, 3))
        story, axis = rng.uniform(2.6, 3.4), rng.uniform(1.6, 3)
        panes = np.abs(_fraction(up / story) - 0.55) < 0.22
        panes &= np.abs(_fraction(depth / axis) - 0.5) < 0.25
        glass = rng.choice([0.35, 0.5, 1.4])
        shade = np.where(panes & (up > 1), np.float32(glass * light), np.float32(light))
        shade = shade * np.where(up > tall - 0.4, np.float32(0.7), grain)
        color = paint.astype("float32")[house] * shade[..., None]
        street.paint(mask, color, BUILDING, depth)


def draw_ground(street, rng):
    depth = street.focal * EYE / np.maximum(street.rows - street.horizon, 0.3)
    across = (street.columns - street.vanishing) * depth / street.focal  # meters
    asphalt = np.float32(rng.uniform(0.2, 0.5) + rng.uniform(-0.03, 0.03, 3))
    stones = np.float32(rng.uniform(0.3, 0.75) + rng.uniform(-0.07, 0.07, 3))
    patches = 1 + 0.1 * smooth_noise(rng, *street.label.shape, 24)
    below = street.rows > street.horizon
    on_road = below & (np.abs(across) < street.curb)
    lines = (np.abs(across) < 0.09) & (_fraction(depth / 3) < 0.55)
    lines |= np.abs(np.abs(across) - street.curb + 0.4) < 0.06
    road = np.where(lines[..., None], np.float32(0.85), asphalt) * patches[..., None]
    beside = below & ~on_road & (across > -street.walls[-1] - 0.2)
    beside &= across < street.walls[1] + 0.2
    joints = (_fraction(depth / 1.2) < 0.08) | (_fraction(across / 1.2) < 0.07)
    edge = np.abs(across) < street.curb + 0.2
    shade = patches * (1 - np.float32(0.2) * joints + np.float32(0.2) * edge)
    # Gaps between houses open on yards and lawns: ground that is neither.
    lawn = below & ~on_road & ~beside & (street.label != BUILDING)
    street.paint(lawn, leaf_color(rng) * patches[..., None], TREE, depth)
    street.paint(on_road, road, ROAD, depth)
    street.paint(beside, stones * shade[..., None], PAVEMENT, depth)
    if rng.random() < 0.5:  # a shadow across the street
        where = rng.uniform(4, 15)
        shadow = below & (np.abs(depth - where + 0.3 * across) < where * 0.2)
        street.image[shadow] *= 0.6


def leaf_color(rng):
    leaves = (0.2, 0.35, 0.12), (0.35, 0.4, 0.15), (0.5, 0.35, 0.15), (0.15, 0.25, 0.1)
    return np.array(leaves[rng.integers(4)], "float32") * rng.uniform(0.7, 1.5)


def _fraction(x):
    return x - np.floor(x)  # several times faster than x % 1
