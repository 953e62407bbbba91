"""The arguments of `prepare`, checked before anything is read."""

import math
from numbers import Integral, Real

import tensorflow as tf


def check_examples(dataset):
    """Raises a ValueError unless `dataset` gives single uint8 examples."""
    spec = getattr(dataset, "element_spec", None)
    example = (
        tf.TensorSpec((None, None, 3), tf.uint8),
        tf.TensorSpec((None, None), tf.uint8),
    )
    pair = isinstance(spec, tuple) and len(spec) == 2
    if not (pair and all(map(tf.TensorSpec.is_compatible_with, example, spec))):
        raise ValueError(
            "`dataset` must be a tf.data.Dataset of single examples (image uint8 "
            "(H, W, 3), label uint8 (H, W)). Cast or squeeze with dataset.map(...), "
            "undo batches with dataset.unbatch(). "
            f"Received: {type(dataset).__name__ if spec is None else spec}"
        )
    if dataset.cardinality() == 0:
        raise ValueError(f"`dataset` is empty. Received: {dataset}")


def check_numbers(batch_size, start_step, shuffle_buffer, seed):
    """Raises a ValueError for a number that is no whole one, or too small."""
    whole = {
        "batch_size": (batch_size, 1),
        "start_step": (start_step, 0),
        "shuffle_buffer": (shuffle_buffer, 1),
        "seed": (seed, 0),
    }
    for name, (value, least) in whole.items():
        if not _is_whole(value, least):
            raise ValueError(
                f"`{name}` must be a whole number of at least {least}. "
                f"Received: {name}={value!r}"
            )


def crop_sides(crop_size):
    """(height, width) of a crop size, `None` of `None`.

    Raises:
        ValueError: it is neither a positive int nor two of them.
    """
    if crop_size is None:
        return None
    sides = (crop_size, crop_size) if isinstance(crop_size, Integral) else crop_size
    pair = isinstance(sides, (tuple, list)) and len(sides) == 2
    if not (pair and all(_is_whole(side, 1) for side in sides)):
        raise ValueError(
            "`crop_size` must be a whole number of pixels of at least 1, or (height, "
            f"width). Received: crop_size={crop_size!r}"
        )
    return tuple(int(side) for side in sides)


def check_scale(scale, scale_step, base_size):
    """Raises a ValueError for a range of factors that cannot be drawn from."""
    pair = isinstance(scale, (tuple, list)) and len(scale) == 2
    if not (pair and all(map(_is_finite, scale)) and 0 < scale[0] <= scale[1]):
        raise ValueError(
            "`scale` must be (low, high) with 0 < low <= high; (1, 1) switches it off. "
            f"Received: scale={scale!r}"
        )
    if scale_step is not None:
        good = _is_finite(scale_step) and scale_step > 0
        steps = (scale[1] - scale[0]) / scale_step if good else 0.5
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                "`scale_step` must be None, or positive with the ends of `scale` a "
                "whole number of steps apart. "
                f"Received: scale={scale}, scale_step={scale_step!r}"
            )
    if base_size is not None and not _is_whole(base_size, 1):
        raise ValueError(
            "`base_size` must be None or a whole number of pixels of at least 1. "
            f"Received: base_size={base_size!r}"
        )


def check_share(max_class_share):
    """Raises a ValueError unless it is None or a share."""
    if max_class_share is None:
        return
    if not (_is_finite(max_class_share) and 0 < max_class_share <= 1):
        raise ValueError(
            "`max_class_share` must be None or a share in (0, 1], such as 0.75. "
            f"Received: max_class_share={max_class_share!r}"
        )


def check_evaluation(**options):
    """Raises a ValueError for options of training where none is going on."""
    asked = {name: value for name, value in options.items() if value}
    if asked:
        raise ValueError(
            "Images are evaluated whole, as they are and in order; these options are "
            "for training. Leave them out, or pass training=True. "
            f"Received: {', '.join(f'{k}={v}' for k, v in asked.items())}, "
            "training=False"
        )


def check_shard(shard, batch_size):
    """Raises a ValueError unless the batches can be split so."""
    pair = isinstance(shard, (tuple, list)) and len(shard) == 2
    whole = pair and _is_whole(shard[0], 0) and _is_whole(shard[1], 1)
    if not whole or shard[0] >= shard[1] or batch_size % shard[1]:
        raise ValueError(
            "`shard` must be (index, count) with index < count, and `batch_size` a "
            f"multiple of count. Received: shard={shard}, batch_size={batch_size}"
        )


def _is_whole(value, least):
    return (
        isinstance(value, Integral) and not isinstance(value, bool) and value >= least
    )


def _is_finite(value):
    return isinstance(value, Real) and math.isfinite(value)
