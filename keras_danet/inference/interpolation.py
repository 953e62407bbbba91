"""Linear interpolation of NumPy maps, rows first, so that a band of rows is enough."""

from typing import NamedTuple

import numpy as np


class Taps(NamedTuple):
    """For each new position along an axis: the two old ones it lies between.

    Attributes:
        low, high: int64 (N,), old positions.
        weight: float64 (N,) in [0, 1), that of `high`.
    """

    low: np.ndarray
    high: np.ndarray
    weight: np.ndarray

    def of(self, band):
        """The taps of a slice of the new positions."""
        return Taps(self.low[band], self.high[band], self.weight[band])

    def weight_along(self, axis, dtype):
        """`weight`, shaped to multiply (h, w, C) values along `axis` 0 or 1."""
        return self.weight.astype(dtype).reshape((-1, 1, 1) if axis == 0 else (-1, 1))


def find_taps(length, new_length, align_corners=False):
    """Where linear interpolation from `length` to `new_length` positions reads.

    Args:
        length: int.
        new_length: int.
        align_corners: bool; True keeps the first and last positions where they are,
            False the outer edges of the pixels (PyTorch's two meanings).

    Example:

    >>> find_taps(2, 3, align_corners=True).weight
    array([0. , 0.5, 0. ])
    """
    index = np.arange(new_length, dtype="float64")
    if align_corners:
        position = index * ((length - 1) / max(new_length - 1, 1))
    else:
        position = (index + 0.5) * (length / new_length) - 0.5
    position = np.clip(position, 0, length - 1)
    low = position.astype("int64")
    return Taps(low, np.minimum(low + 1, length - 1), position - low)


def interpolate(values, taps, axis):
    """Floating `values` (h, w, C) at the taps of `axis`, 0 or 1."""
    result = values.take(taps.low, axis)
    step = values.take(taps.high, axis)
    step -= result
    step *= taps.weight_along(axis, values.dtype)
    result += step
    return result


def resize(image, size, align_corners=False):
    """(H, W, C) resized bilinearly to `size`, without antialiasing, in floats.

    Args:
        image: (H, W, C); integers become float32.
        size: (height, width).
        align_corners: as in `find_taps`.

    Returns:
        (height, width, C).

    Example:

    >>> resize(np.zeros((2, 2, 3), "uint8"), (3, 5)).shape
    (3, 5, 3)
    """
    if image.shape[:2] == tuple(size):
        return image
    if image.dtype.kind != "f":
        image = image.astype("float32")
    rows = find_taps(image.shape[0], size[0], align_corners)
    columns = find_taps(image.shape[1], size[1], align_corners)
    return interpolate(interpolate(image, rows, 0), columns, 1)


def bands(height, width, channels, limit=1 << 20):
    """Slices of rows of (height, width, channels), each of about `limit` values."""
    step = max(1, limit // (width * channels))
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]
