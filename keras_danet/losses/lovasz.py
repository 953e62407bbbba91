"""Lovasz-Softmax: the convex surrogate of the intersection over union."""

import keras
from keras import ops

from keras_danet.losses.labels import split_pixels, validated_ignore_class
from keras_danet.losses.reduction import (
    image_weights,
    refuse_sample_weight,
    replicas_here,
    share_of_replicas,
)
from keras_danet.replicas import sum_across_replicas


def jaccard_gradient(foreground):
    """Gradient of the Jaccard loss's Lovasz extension by the errors, sorted descending.

    Args:
        foreground: float32 (..., N), 1 where the pixel is of the class, in the order of
            descending errors.

    Returns:
        float32 (..., N), >= 0, summing to 1.

    The authors take differences of neighboring Jaccard losses; these are of the order
    1/N and drown in float32 rounding for large N, so each is written out instead: one
    more foreground pixel changes 1 - I/U by 1/U, one more background pixel by
    I/U - I/(U + 1).
    """
    total = ops.sum(foreground, axis=-1, keepdims=True)
    seen = ops.cumsum(foreground, axis=-1)  # float32: exact up to 2**24 pixels
    position = ops.cumsum(ops.ones_like(foreground), axis=-1)
    intersection = total - seen
    union = total + position - seen
    by_background = intersection / ops.maximum(union * (union - 1), 1.0)
    # The first pixel of a class that is nowhere: from 0/0, no loss, to the full loss 1.
    by_background = ops.where(union > 1, by_background, 1.0)
    return ops.where(foreground > 0, 1.0 / union, by_background)


def lovasz_softmax(pixels, probabilities, classes="present", per_image=False):
    """Lovasz-Softmax loss of probabilities.

    Args:
        pixels: `Pixels`, the label map split by `split_pixels`.
        probabilities: float32 (B, H, W, K), softmax over the classes.
        classes: `"present"` (mean over the classes in the labels) or `"all"`.
        per_image: one loss an image instead of one for the batch.

    Returns:
        float32 (B,), or (1,) for the batch; 0 where nothing is labeled.
    """
    num_classes = probabilities.shape[-1]
    groups = ops.shape(probabilities)[0] if per_image else 1

    def grouped(x):
        return ops.swapaxes(ops.reshape(x, (groups, -1, x.shape[-1])), 1, 2)

    labelled = grouped(pixels.labelled[..., None])  # (G, 1, N)
    is_class = pixels.labelled & ops.logical_not(pixels.unknown)
    foreground = ops.one_hot(pixels.class_id, num_classes, dtype="float32")
    foreground = grouped(foreground * ops.cast(is_class, "float32")[..., None])
    errors = ops.abs(foreground - grouped(probabilities))  # (G, K, N)
    # Ignored pixels go behind the others, where they change no gradient, and weigh 0.
    errors = ops.where(labelled, errors, -1.0)
    order = ops.argsort(-ops.stop_gradient(errors), axis=-1)
    errors = ops.maximum(ops.take_along_axis(errors, order, axis=-1), 0.0)
    gradient = jaccard_gradient(ops.take_along_axis(foreground, order, axis=-1))
    losses = ops.sum(errors * gradient, axis=-1)  # (G, K)
    if classes == "all":
        return ops.mean(losses, axis=-1)
    present = ops.cast(ops.max(foreground, axis=-1) > 0, "float32")
    count = ops.maximum(ops.sum(present, axis=-1), 1.0)
    return ops.sum(losses * present, axis=-1) / count


@keras.saving.register_keras_serializable(package="keras_danet")
class LovaszSoftmax(keras.losses.Loss):
    """Lovasz-Softmax loss, a convex surrogate of 1 - mean IoU.

    For fine-tuning when the mean IoU itself is what counts, mostly added to or after
    cross-entropy. For each class the errors `|1[y = c] - p_c|` of the labeled pixels,
    sorted descending, are weighed with the discrete gradient of the Jaccard loss; the
    loss is the mean over the classes. Ignored pixels never count; a batch or an image
    without a labeled pixel gives 0; an unknown label makes the loss NaN.

    Replicas: `per_image=True` is a mean over all images of all replicas, exactly as on
    one device. `per_image=False` sorts within each replica and averages the replicas,
    as every published implementation does; it is not the loss of the global batch.

    Args:
        per_image: False: one loss over all pixels of the batch. True: one an image,
            averaged over the images.
        classes: `"present"`: mean over the classes that occur in the labels (of the
            batch, or of the image). `"all"`: over all classes; one that is nowhere
            counts with its largest error.
        ignore_class: label (int) of the pixels that do not count, or None.
        name: name of the loss.

    Call arguments:
        y_true, y_pred: as `CrossEntropy`.
        sample_weight: with `per_image=True` optionally (B,), multiplies the images'
            losses, the divisor stays.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: for sample weights it cannot take, labels that do not fit the
            logits, or unknown `classes`.

    Example:

    >>> model.compile(loss=LovaszSoftmax(per_image=True))

    Memory: sorts (K, B * H * W) errors at once, 16 bytes each on PyTorch.

    Reference:
        Berman et al., The Lovasz-Softmax loss, CVPR 2018, section 3.
    """

    def __init__(
        self,
        per_image=False,
        classes="present",
        ignore_class=255,
        name="lovasz_softmax",
    ):
        super().__init__(name=name, reduction="sum", dtype="float32")
        if classes not in ("present", "all"):
            raise ValueError(
                '`classes` must be "present" or "all": the classes to average over. '
                f"Received: classes={classes!r}"
            )
        self.per_image = per_image
        self.classes = classes
        self.ignore_class = validated_ignore_class(ignore_class)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if not self.per_image:
            refuse_sample_weight(sample_weight, "LovaszSoftmax(per_image=False)")
        elif sample_weight is not None:
            sample_weight = image_weights(sample_weight)
        return share_of_replicas(super().__call__(y_true, y_pred, sample_weight))

    def call(self, y_true, y_pred):
        """Terms (B,) or (1,) whose sum is the loss."""
        pixels = split_pixels(y_true, y_pred, self.ignore_class)
        probabilities = ops.softmax(y_pred, axis=-1)
        losses = lovasz_softmax(pixels, probabilities, self.classes, self.per_image)
        losses = ops.where(ops.any(pixels.unknown), float("nan"), losses)
        if not self.per_image:
            return losses / replicas_here()
        return losses / sum_across_replicas(ops.sum(ops.ones_like(losses)))

    def get_config(self):
        return {
            "per_image": self.per_image,
            "classes": self.classes,
            "ignore_class": self.ignore_class,
            "name": self.name,
        }
