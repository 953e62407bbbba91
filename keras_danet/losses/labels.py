"""Label maps as losses and metrics see them: which pixels count, and as which class."""

from numbers import Integral
from typing import NamedTuple

from keras import ops


class Pixels(NamedTuple):
    """A label map split by what each pixel is; every field is (B, H, W).

    `class_id` (int32) is 0 wherever the label is not a class, so that it is always a
    safe index: TensorFlow's kernels crash on one out of range, JAX's clip it silently.
    """

    class_id: object
    labelled: object  # bool: not `ignore_class`; the unknown ones below included
    unknown: object  # bool: neither `ignore_class` nor one of 0..num_classes-1


def validated_ignore_class(ignore_class):
    """`ignore_class` as an int, or None.

    Raises:
        ValueError: it is neither.
    """
    if ignore_class is None:
        return None
    if not isinstance(ignore_class, Integral) or isinstance(ignore_class, bool):
        raise ValueError(
            "`ignore_class` must be the label (int) of the pixels that do not count, "
            f"or None where all count. Received: ignore_class={ignore_class!r}"
        )
    return int(ignore_class)


def label_map(label, logits):
    """`label` as float32 (B, H, W), checked against `logits` (B, H, W, K).

    Raises:
        ValueError: when the ranks or the sizes do not belong together.
    """
    # float32 holds every id up to 2**24 exactly and keeps what an int32 cast would
    # hide: a fraction (a label map resized bilinearly), NaN, an int64 that wraps.
    label = ops.cast(label, "float32")
    if getattr(label.shape, "rank", 0) is None:
        # TensorFlow, given (B, H, W) once and (B, H, W, 1) then, forgets the rank.
        label = ops.reshape(label, ops.shape(logits)[:-1])
    received, expected = tuple(label.shape), tuple(logits.shape)
    if len(expected) != 4:
        raise ValueError(
            "The logits do not have 4 axes. Expected raw logits of shape (batch, "
            "height, width, num_classes) at the label map's size. "
            f"Received: logits.shape={expected}, label.shape={received}"
        )
    if len(received) == 4 and received[-1] == 1:
        label = ops.squeeze(label, axis=-1)
    shape = tuple(label.shape)
    fits = len(shape) == 3 and all(
        size is None or wanted is None or size == wanted
        for size, wanted in zip(shape, expected[:-1], strict=True)
    )
    if not fits:
        raise ValueError(
            "The label map does not fit the logits. Expected one class id a pixel, "
            f"shape {expected[:-1]} or {(*expected[:-1], 1)} (not one-hot, not RGB); "
            "resize the label map with nearest neighbor, or the logits, to one size. "
            f"Received: label.shape={received}, logits.shape={expected}"
        )
    return label


def split_pixels(label, logits, ignore_class):
    """Split a label map into `Pixels`.

    Args:
        label: (B, H, W) or (B, H, W, 1), any integer or float dtype.
        logits: (B, H, W, K); only its shape is used.
        ignore_class: int, the label of pixels that do not count, or None.

    Raises:
        ValueError: when the ranks or the sizes do not belong together.
    """
    label = label_map(label, logits)
    labelled = ops.ones_like(label, dtype="bool")
    if ignore_class is not None:
        labelled = ops.not_equal(label, float(ignore_class))
    is_class = (label >= 0) & (label < logits.shape[-1])
    is_class = is_class & ops.equal(label, ops.floor(label)) & labelled
    class_id = ops.cast(ops.where(is_class, label, 0.0), "int32")
    return Pixels(class_id, labelled, labelled & ops.logical_not(is_class))
