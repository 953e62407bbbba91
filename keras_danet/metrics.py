"""Mean intersection over union and pixel accuracy on logits, counted exactly."""

import keras
import numpy as np
from keras import ops

from keras_danet.losses.labels import split_pixels

# A count is high * 2**20 + low. JAX has no int64 and float32 is exact only to 2**24;
# two int32 words carry every count to 2**51. Both words ADD across the replicas of a
# MirroredStrategy (metric variables are summed when read): a replica keeps its low word
# under 2**20, so the sum of up to 2047 replicas' low words still fits into an int32.
_LOW_BITS = 20
_LOW_MASK = (1 << _LOW_BITS) - 1


def add_counts(low, high, counts):
    """Two-word counts (`low`, `high`) plus int32 `counts`; returns both new words."""
    low = low + ops.bitwise_and(counts, _LOW_MASK)
    carry = ops.right_shift(low, _LOW_BITS)
    high = high + ops.right_shift(counts, _LOW_BITS) + carry
    return ops.bitwise_and(low, _LOW_MASK), high


def as_float(low, high):
    """Two-word counts as float32, exact to its 24 bits."""
    scale = float(1 << _LOW_BITS)
    return ops.cast(high, "float32") * scale + ops.cast(low, "float32")


def as_numpy(low, high):
    """Two-word counts as an exact int64 NumPy array."""
    high = ops.convert_to_numpy(high).astype(np.int64)
    return (high << _LOW_BITS) + ops.convert_to_numpy(low)


def count_cells(cells, num_cells):
    """How often each of 0..num_cells-1 occurs in int32 `cells` (any shape)."""
    cells = ops.reshape(cells, (-1,))
    if keras.backend.backend() == "jax":  # its bincount has no length to compile with
        return ops.segment_sum(ops.ones_like(cells), cells, num_segments=num_cells)
    return ops.reshape(ops.bincount(cells, minlength=num_cells), (num_cells,))


class _PixelCounts(keras.Metric):
    """Counts of pixels by cell; the last of the `num_cells` is of unknown labels."""

    def __init__(self, num_cells, name):
        super().__init__(name=name)
        self.num_cells = num_cells
        self.low = self.add_variable((num_cells,), "zeros", "int32", name="low")
        self.high = self.add_variable((num_cells,), "zeros", "int32", name="high")

    def add_pixels(self, cells, pixels):
        cells = ops.where(pixels.unknown, self.num_cells - 1, cells)
        cells = ops.where(pixels.labelled, cells, self.num_cells)  # dropped below
        counts = count_cells(cells, self.num_cells + 1)[:-1]
        low, high = add_counts(
            ops.convert_to_tensor(self.low), ops.convert_to_tensor(self.high), counts
        )
        self.low.assign(low)
        self.high.assign(high)


@keras.saving.register_keras_serializable(package="keras_danet")
class MeanIoU(_PixelCounts):
    """TODO."""

    def __init__(self, num_classes, ignore_class=255, name="mean_iou"):
        super().__init__(num_classes * num_classes + 1, name)
        self.num_classes = num_classes
        self.ignore_class = ignore_class

    def update_state(self, y_true, y_pred, sample_weight=None):
        pixels = split_pixels(y_true, y_pred, self.ignore_class)
        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        self.add_pixels(pixels.class_id * self.num_classes + predicted, pixels)

    def result(self):
        counts = as_float(self.low, self.high)
        matrix = ops.reshape(counts[:-1], (self.num_classes, self.num_classes))
        intersection = ops.diagonal(matrix)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - intersection
        iou = ops.divide_no_nan(intersection, union)
        present = ops.sum(ops.cast(union > 0, "float32"))
        mean = ops.divide_no_nan(ops.sum(iou), present)
        return ops.where(counts[-1] > 0, float("nan"), mean)

    def confusion(self):
        counts = as_numpy(self.low, self.high)[:-1]
        return counts.reshape(self.num_classes, self.num_classes)

    def per_class(self):
        matrix = self.confusion()
        intersection = np.diagonal(matrix)
        union = matrix.sum(0) + matrix.sum(1) - intersection
        return np.where(union > 0, intersection / np.maximum(union, 1), np.nan)

    def get_config(self):
        return {
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="keras_danet")
class PixelAccuracy(_PixelCounts):
    """TODO."""

    def __init__(self, ignore_class=255, name="pixel_accuracy"):
        super().__init__(3, name)  # wrong, right, unknown
        self.ignore_class = ignore_class

    def update_state(self, y_true, y_pred, sample_weight=None):
        pixels = split_pixels(y_true, y_pred, self.ignore_class)
        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        right = ops.cast(ops.equal(predicted, pixels.class_id), "int32")
        self.add_pixels(right, pixels)

    def result(self):
        wrong, right, unknown = ops.unstack(as_float(self.low, self.high), 3)
        accuracy = ops.divide_no_nan(right, right + wrong)
        return ops.where(unknown > 0, float("nan"), accuracy)

    def get_config(self):
        return {"ignore_class": self.ignore_class, "name": self.name}
