"""How an image is seen: scales, flip, windows and the protocol that joins them."""

from typing import NamedTuple

import keras
import numpy as np


class Setting(NamedTuple):
    """How an image is seen; the arguments of `segment`, checked."""

    scales: tuple
    flip: bool
    window: tuple | None
    stride: tuple | None
    base_size: int | tuple | None
    protocol: str
    batch_size: int
    align_corners: bool  # how the model enlarges its logits

    @classmethod
    def checked(
        cls, model, scales, flip, window, stride, base_size, protocol, batch_size
    ):
        """A `Setting` of arguments in range, or a ValueError."""
        if protocol not in ("mmseg", "official"):
            raise ValueError(
                f'`protocol` must be "mmseg" or "official". Received: {protocol!r}'
            )
        scales = tuple(np.atleast_1d(scales).tolist())
        if not scales or not all(0 < scale < np.inf for scale in scales):
            raise ValueError(f"`scales` must be positive. Received: scales={scales!r}")
        if not _is_positive_int(batch_size):
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size!r}"
            )
        window, stride = _pair("window", window), _pair("stride", stride)
        if stride is not None and (window is None or _exceeds(stride, window)):
            raise ValueError(
                "`stride` must not exceed `window`, or pixels would be left out. "
                f"Received: window={window}, stride={stride}"
            )
        base_size = _base_size(base_size, protocol)
        align_corners = _align_corners(model)
        return cls(
            scales,
            bool(flip),
            window,
            stride,
            base_size,
            protocol,
            batch_size,
            align_corners,
        )

    def window_on(self, size):
        """(window, stride) for an image of `size`."""
        if self.window is None:
            return size, size
        if self.stride is not None:
            return self.window, self.stride
        thirds = (2 * length / 3 for length in self.window)
        rounded = int if self.protocol == "official" else round
        return self.window, tuple(max(1, rounded(length)) for length in thirds)


def _align_corners(model):
    """How the model itself enlarges its logits."""
    if not isinstance(model, keras.Model):
        return False
    resizes = [layer for layer in model.layers if layer.name == "fused_resize"]
    return bool(resizes and getattr(resizes[0], "align_corners", False))


def _base_size(base_size, protocol):
    if base_size is None or _is_positive_int(base_size):
        return base_size if base_size is None else int(base_size)
    pair = isinstance(base_size, (tuple, list)) and len(base_size) == 2
    if pair and all(map(_is_positive_int, base_size)) and protocol == "mmseg":
        return tuple(int(side) for side in base_size)
    raise ValueError(
        "`base_size` must be the long side in pixels, or, with the protocol "
        '"mmseg", the limits (long side, short side). '
        f"Received: base_size={base_size!r}, protocol={protocol!r}"
    )


def _pair(name, value):
    if value is None:
        return None
    pair = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(pair) != 2 or not all(map(_is_positive_int, pair)):
        raise ValueError(
            f"`{name}` must be a number of pixels or (height, width). "
            f"Received: {name}={value!r}"
        )
    return tuple(int(length) for length in pair)


def _exceeds(stride, window):
    return any(step > length for step, length in zip(stride, window, strict=True))


def _is_positive_int(value):
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_int and value > 0
