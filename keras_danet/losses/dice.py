"""Dice loss per class on softmax probabilities; ignored pixels never count."""

import keras
from keras import ops

from keras_danet.losses.labels import split_pixels, validated_ignore_class
from keras_danet.losses.reduction import (
    refuse_sample_weight,
    replicas_here,
    share_of_replicas,
)
from keras_danet.replicas import sum_across_replicas


def dice_sums(pixels, probabilities):
    """The two sums of the Dice coefficient over the labeled pixels, for each class.

    Args:
        pixels: `Pixels`, the label map split by `split_pixels`.
        probabilities: float32 (B, H, W, K), softmax over the classes.

    Returns:
        float32 (3, K): sum(p * t), sum(p), sum(t), with t the one-hot labels.
    """
    labelled = ops.cast(pixels.labelled, "float32")[..., None]
    truth = labelled * ops.one_hot(
        pixels.class_id, probabilities.shape[-1], dtype="float32"
    )
    terms = (probabilities * truth, probabilities * labelled, truth)
    # Width by width first: long float32 sums stay accurate.
    return ops.stack([ops.sum(ops.sum(term, axis=2), axis=(0, 1)) for term in terms])


def dice_loss(sums):
    """Mean of 1 - Dice over the classes that occur in the labels; 0 without any.

    Args:
        sums: float32 (3, K) from `dice_sums`.

    Returns:
        A float32 scalar.
    """
    overlap, predicted, truth = ops.unstack(sums, 3)
    present = ops.cast(truth > 0, "float32")
    total = ops.where(truth > 0, predicted + truth, 1.0)
    losses = present * (1.0 - 2.0 * overlap / total)
    return ops.sum(losses) / ops.maximum(ops.sum(present), 1.0)


@keras.saving.register_keras_serializable(package="keras_danet")
class Dice(keras.losses.Loss):
    """Dice loss: 1 - 2 sum(p t) / (sum(p) + sum(t)), averaged over the classes.

    For rare or thin classes, mostly added to cross-entropy. p are softmax
    probabilities, t the one-hot labels; the sums of a class go over all labeled pixels
    of the batch, the mean over the classes that occur in its labels (a class that does
    not would add a constant 1 and no gradient). No smoothing term is needed. Ignored
    pixels count neither as truth nor as prediction; a batch without a labeled pixel
    gives 0; an unknown label makes the loss NaN.

    Replicas: the sums are global, so N replicas equal one device.

    Args:
        ignore_class: label (int) of the pixels that do not count, or None.
        name: name of the loss.

    Call arguments:
        y_true, y_pred: as `CrossEntropy`.

    Returns:
        A float32 scalar in [0, 1].

    Raises:
        ValueError: for sample weights, or labels that do not fit the logits.

    Example:

    >>> model.compile(loss=Dice())

    Differs from mmsegmentation 1.2.2, whose Dice takes all classes of an image as one
    set, uses a sigmoid by default and counts predictions at ignored pixels.

    Reference:
        Milletari et al., V-Net, 3DV 2016, section 3, without the squares; Sudre et
        al., Generalised Dice overlap, DLMIA 2017, section 2.2.
    """

    def __init__(self, ignore_class=255, name="dice"):
        super().__init__(name=name, reduction="sum", dtype="float32")
        self.ignore_class = validated_ignore_class(ignore_class)

    def __call__(self, y_true, y_pred, sample_weight=None):
        refuse_sample_weight(sample_weight, "Dice")
        return share_of_replicas(super().__call__(y_true, y_pred))

    def call(self, y_true, y_pred):
        """The replica's share of the loss, a scalar."""
        pixels = split_pixels(y_true, y_pred, self.ignore_class)
        sums = dice_sums(pixels, ops.softmax(y_pred, axis=-1))
        loss = dice_loss(sum_across_replicas(sums)) / replicas_here()
        return ops.where(ops.any(pixels.unknown), float("nan"), loss)

    def get_config(self):
        return {"ignore_class": self.ignore_class, "name": self.name}
