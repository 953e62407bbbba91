"""The pixels of a label map that lie along its contours, for the boundary IoU."""

import numpy as np


def boundary_distance(size, ratio=0.02):
    """Pixels that count as "along the contour": a share of the image's diagonal.

    Args:
        size: (height, width).
        ratio: float; 0.02 is the reference's for COCO.

    Returns:
        int, at least 1.
    """
    return max(1, round(ratio * float(np.hypot(*size))))


def near_boundary(label, distance):
    """Which pixels have another class, or the image's edge, within `distance`.

    Distance is the larger of rows and columns between two pixels, that of the
    reference's erosion by a 3x3 square.

    Args:
        label: (H, W) integers.
        distance: int.

    Returns:
        bool (H, W).

    Example:

    >>> near_boundary(np.zeros((5, 5), int), 1).sum()  # all but the inner 3x3
    16

    Reference: Cheng et al., "Boundary IoU", CVPR 2021, section 5.
    """
    near = np.ones(label.shape, bool)
    if min(label.shape) > 2 * distance:
        least, most = label, label
        for axis in (0, 1):
            least = _running(np.minimum, least, 2 * distance + 1, axis)
            most = _running(np.maximum, most, 2 * distance + 1, axis)
        inner = slice(distance, -distance)
        near[inner, inner] = least != most
    return near


def _running(extreme, values, length, axis):
    """Minimum or maximum of each `length` neighbors, by doubling."""

    def part(start, stop):
        return values[start:stop] if axis == 0 else values[:, start:stop]

    size = values.shape[axis]
    span = 1
    while 2 * span <= length:
        values = extreme(part(None, size - span), part(span, None))
        size, span = size - span, 2 * span
    shift = length - span
    return extreme(part(None, size - shift), part(shift, None))
