"""Online hard example mining: cross-entropy of the hardest pixels only."""

import math
from numbers import Integral, Real

import keras
from keras import ops

from keras_danet.losses.cross_entropy import pixel_cross_entropy
from keras_danet.losses.labels import split_pixels, validated_ignore_class
from keras_danet.losses.reduction import (
    count_pixels,
    divide_or_zero,
    pixel_weights,
    share_of_replicas,
)


def harder_than_threshold(values, candidates, threshold, min_kept):
    """Pixels whose true class has a probability below a limit.

    With p = exp(-cross-entropy), ascending over the candidates:
    limit = max(threshold, p[min(min_kept, candidates - 1)]); kept: p < limit (strict,
    so the candidate at the limit is not). Compared as cross-entropies, which keep
    apart the probabilities that float32 rounds to 1.

    Args:
        values: float32 (B, H, W), cross-entropy.
        candidates: bool (B, H, W), the pixels to choose from.
        threshold: probability in (0, 1].
        min_kept: int or scalar tensor.

    Returns:
        bool (B, H, W).
    """
    descending = -ops.sort(ops.reshape(-ops.where(candidates, values, -1.0), (-1,)))
    last = ops.sum(ops.cast(candidates, "int32")) - 1
    index = ops.maximum(ops.minimum(min_kept, last), 0)
    limit = ops.minimum(ops.take(descending, index), -math.log(threshold))
    return candidates & (values > limit)


def hardest(values, candidates, count):
    """The `count` candidates with the largest values, exactly, ties included.

    Args and Returns: as `harder_than_threshold`; `count` is an int or scalar tensor.
    """
    flat = ops.reshape(ops.where(candidates, values, -1.0), (-1,))
    rank = ops.argsort(ops.argsort(-flat))
    kept = ops.cast(rank, "int32") < count
    return candidates & ops.reshape(kept, ops.shape(values))


@keras.saving.register_keras_serializable(package="keras_danet")
class OHEMCrossEntropy(keras.losses.Loss):
    """Cross-entropy of the hard pixels (online hard example mining).

    For data sets where most pixels are easy after a few epochs. A labeled pixel is kept
    when the probability p of its true class is below
    `max(threshold, p of the min_kept-th hardest pixel)`, so at least about `min_kept`
    stay; with `threshold=None` exactly the `min_kept` hardest stay. Both published
    forms are had through `average`:

    | average    | divisor        | `min_kept` is for | published as             |
    |------------|----------------|-------------------|--------------------------|
    | "all"      | all pixels     | each image        | mmseg, OHEMPixelSampler  |
    | "labelled" | labeled pixels | each image        | same, avg_non_ignore     |
    | "kept"     | kept pixels    | the whole batch   | mmseg, OhemCrossEntropy  |

    Unknown labels make the loss NaN, a batch without a labeled pixel 0, as in
    `CrossEntropy`.

    Replicas: the pixels are ranked within each replica, as in mmsegmentation (a global
    rank would need every pixel everywhere), and with "kept" `min_kept` is for one
    replica; the divisor is counted over all replicas. N replicas therefore equal one
    device only where `threshold`, not `min_kept`, sets every limit.

    Args:
        threshold: probability in (0, 1], or None: rank only.
        min_kept: int >= 1, see the table.
        average: `"all"`, `"labelled"` or `"kept"`.
        ignore_class: label (int) of the pixels that do not count, or None.
        name: name of the loss.

    Call arguments, Returns: as `CrossEntropy`. `sample_weight` multiplies the terms of
        the kept pixels; it changes neither the choice nor the divisor.

    Raises:
        ValueError: for arguments out of range, or labels that do not fit the logits.

    Example:

    >>> model.compile(loss=OHEMCrossEntropy(threshold=0.7, min_kept=100_000))

    Differs from mmsegmentation: where no pixel is kept the "kept" form gives 0, not
    NaN.

    Reference:
        Shrivastava et al., Training Region-based Object Detectors with Online Hard
        Example Mining, CVPR 2016; for pixels: mmsegmentation 1.2.2.
    """

    def __init__(
        self,
        threshold=0.7,
        min_kept=100_000,
        average="all",
        ignore_class=255,
        name="ohem_cross_entropy",
    ):
        super().__init__(name=name, reduction="sum", dtype="float32")
        if threshold is not None and not (
            isinstance(threshold, Real) and 0 < threshold <= 1
        ):
            raise ValueError(
                "`threshold` is a probability: it must be in (0, 1], or None. "
                f"Received: threshold={threshold!r}"
            )
        if not (isinstance(min_kept, Integral) and 1 <= min_kept < 2**31):
            raise ValueError(
                "`min_kept` is a whole number of pixels, at least 1. "
                f"Received: min_kept={min_kept!r}"
            )
        if average not in ("all", "labelled", "kept"):
            raise ValueError(
                '`average` must be "all", "labelled" or "kept": the pixels to divide '
                f"by. Received: average={average!r}"
            )
        self.threshold = threshold
        self.min_kept = int(min_kept)
        self.average = average
        self.ignore_class = validated_ignore_class(ignore_class)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            sample_weight = pixel_weights(sample_weight)
        return share_of_replicas(super().__call__(y_true, y_pred, sample_weight))

    def call(self, y_true, y_pred):
        """Terms (B, H, W) whose sum is the loss."""
        pixels = split_pixels(y_true, y_pred, self.ignore_class)
        values = pixel_cross_entropy(pixels, y_pred)
        kept = self._kept(pixels, ops.stop_gradient(values))
        divided_by = {
            "all": ops.ones_like(kept),
            "labelled": pixels.labelled,
            "kept": kept,
        }
        count = count_pixels(divided_by[self.average])
        return divide_or_zero(ops.where(kept | pixels.unknown, values, 0.0), count)

    def _kept(self, pixels, values):
        # A NaN of diverged logits is the hardest of all: it must be kept and be seen.
        values = ops.where(ops.isnan(values), float("inf"), values)
        batch, height, width = ops.shape(values)
        min_kept = self.min_kept
        if (
            self.average != "kept"
        ):  # for each image; no more than there are: no overflow
            min_kept = ops.minimum(min_kept, height * width) * batch
        candidates = pixels.labelled & ops.logical_not(pixels.unknown)
        if self.threshold is None:
            return hardest(values, candidates, min_kept)
        return harder_than_threshold(values, candidates, self.threshold, min_kept)

    def get_config(self):
        return {
            "threshold": self.threshold,
            "min_kept": self.min_kept,
            "average": self.average,
            "ignore_class": self.ignore_class,
            "name": self.name,
        }
