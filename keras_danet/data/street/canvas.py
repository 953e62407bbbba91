"""The canvas of a synthetic street scene and the camera over it."""

import numpy as np

EYE = 1.5  # meters of the camera above the ground


class Street:
    """The canvas and the camera over it.

    Attributes:
        image: float32 (H, W, 3) in about [0, 1].
        label: uint8 (H, W).
        depth: float32 (H, W), meters of air between, for haze.
        horizon, vanishing: pixel row and column the street leads to.
        focal: focal length in pixels.
        curb: half width of the road, meters.
        walls: {-1: left, 1: right}: meters from the middle of the road to the houses.
        sun: the side, -1 or 1, whose houses stand in the sun.
        haze: color of far things.
    """

    def __init__(self, rng, height, width):
        self.image = np.zeros((height, width, 3), "float32")
        self.label = np.zeros((height, width), "uint8")
        self.depth = np.zeros((height, width), "float32")
        self.rows = np.arange(height, dtype="float32")[:, None] + 0.5
        self.columns = np.arange(width, dtype="float32")[None] + 0.5
        self.horizon = height * rng.uniform(0.36, 0.52)
        self.vanishing = width * rng.uniform(0.3, 0.7)
        self.focal = 0.55 * width * rng.uniform(0.9, 1.2)
        self.curb = rng.uniform(3, 5.5)
        self.walls = {side: self.curb + rng.uniform(2, 5) for side in (-1, 1)}
        self.sun = rng.choice([-1, 1])
        self.haze = np.ones(3, "float32")

    def paint(self, where, color, label=None, depth=None):
        """Colors the pixels of a boolean (H, W) mask, or (window, mask) of it."""
        window, mask = where if isinstance(where, tuple) else (slice(None), where)
        color = np.asarray(color, "float32")
        np.copyto(self.image[window], color, where=mask[..., None])
        if label is not None:
            np.copyto(self.label[window], np.uint8(label), where=mask)
        if depth is not None:
            np.copyto(self.depth[window], np.float32(depth), where=mask)

    def stand(self, across, depth, width, height):
        """The window of a thing on the ground and its own coordinates.

        Returns:
            (window, u, v): u in [-1, 1] to the right, v in [0, 1] upwards from the
            ground; or `None` where nothing of it is in the picture.
        """
        scale = self.focal / depth
        center, ground = self.vanishing + across * scale, self.horizon + EYE * scale
        half, tall = max(width * scale / 2, 0.6), max(height * scale, 1)
        rows, columns = self.label.shape
        top, bottom = max(int(ground - tall), 0), min(int(np.ceil(ground)), rows)
        left = max(int(center - half), 0)
        right = min(int(np.ceil(center + half)), columns)
        if top >= bottom or left >= right:
            return None
        v = (ground - self.rows[top:bottom]) / tall
        u = (self.columns[:, left:right] - center) / half
        return (slice(top, bottom), slice(left, right)), u, v


def smooth_noise(rng, height, width, cells):
    """Noise of unit variance at its nodes, bilinear between cells x cells of them."""
    grid = rng.standard_normal((cells, cells), dtype="float32")
    low, mix = _between(height, cells)
    grid = grid[low] + (grid[low + 1] - grid[low]) * mix[:, None]
    low, mix = _between(width, cells)
    return grid[:, low] + (grid[:, low + 1] - grid[:, low]) * mix


def _between(length, cells):
    """Lower node of each of `length` points, and how far it is to the next."""
    nodes = np.arange(length, dtype="float32") * ((cells - 1) / max(length, 2))
    low = nodes.astype("int32")
    return low, nodes - low
