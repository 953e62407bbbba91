"""Where the windows of both evaluation protocols stand on an image."""

import math
from typing import NamedTuple


class Window(NamedTuple):
    """The part of the image that one window covers, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def region(self):
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def shifted_windows(image_size, window, stride):
    """mmsegmentation's windows: the last ones are shifted back inside the image.

    No window is padded; one larger than the image is cut to it.

    Args:
        image_size: (height, width).
        window: (height, width).
        stride: (rows, columns).

    Returns:
        List of `Window`, all of one size, row by row.

    Example:

    >>> [window.left for window in shifted_windows((32, 80), (32, 32), (21, 21))]
    [0, 21, 42, 48]

    Reference: mmsegmentation's `EncoderDecoder.slide_inference`.
    """
    return _cross(_shifted, image_size, window, stride)


def cut_windows(image_size, window, stride):
    """The official evaluation's windows: the last ones are cut at the border.

    What is missing of the window's size, there or in a smaller image, is padded by
    whoever runs it.

    Args:
        image_size: (height, width).
        window: (height, width).
        stride: (rows, columns).

    Returns:
        List of `Window`, row by row.

    Example:

    >>> [(w.left, w.width) for w in cut_windows((32, 80), (32, 32), (21, 21))]
    [(0, 32), (21, 32), (42, 32), (63, 17)]

    Reference: `MultiEvalModule` of the DANet repository.
    """
    return _cross(_cut, image_size, window, stride)


def _cross(place, image_size, window, stride):
    rows, columns = map(place, image_size, window, stride)
    return [
        Window(top, left, height, width)
        for top, height in rows
        for left, width in columns
    ]


def _shifted(length, window, stride):
    """(start, length) of each window along one axis."""
    count = max(length - window + stride - 1, 0) // stride + 1
    ends = (min(index * stride + window, length) for index in range(count))
    return [(max(end - window, 0), min(window, length)) for end in ends]


def _cut(length, window, stride):
    count = math.ceil((max(length, window) - window) / stride) + 1
    starts = [index * stride for index in range(count)]
    return [(start, min(window, length - start)) for start in starts]
