"""Softmax cross-entropy on raw logits; pixels of the ignored class never count."""

import keras
import numpy as np
from keras import ops

from keras_danet.losses.labels import split_pixels, validated_ignore_class
from keras_danet.losses.reduction import (
    count_pixels,
    divide_or_zero,
    pixel_weights,
    share_of_replicas,
)
from keras_danet.replicas import sum_across_replicas


def pixel_cross_entropy(pixels, logits):
    """Cross-entropy of each pixel, not reduced.

    Args:
        pixels: `Pixels`, the label map split by `split_pixels`.
        logits: float32 (B, H, W, K), raw.

    Returns:
        float32 (B, H, W): 0 at ignored pixels, NaN at unknown labels (there without a
        gradient: the loss tells, the weights survive).
    """
    # Flat, (B*H*W, K): PyTorch's kernel wants the classes on axis 1, and Keras would
    # move them there by a strided view, which halves its speed.
    values = ops.sparse_categorical_crossentropy(
        ops.reshape(pixels.class_id, (-1,)),
        ops.reshape(logits, (-1, logits.shape[-1])),
        from_logits=True,
    )
    values = ops.reshape(values, ops.shape(pixels.class_id))
    values = ops.where(pixels.labelled, values, 0.0)
    return ops.where(pixels.unknown, float("nan"), values)


def pixel_class_weights(pixels, class_weights):
    """The weight of each pixel's class, float32 (B, H, W); 0 at ignored pixels."""
    table = ops.convert_to_tensor(class_weights, dtype="float32")
    labelled = ops.cast(pixels.labelled, "float32")
    return labelled * ops.take(table, pixels.class_id, axis=0)


def validated_class_weights(class_weights):
    """`class_weights` as a list of floats, or None.

    Raises:
        ValueError: unless they are a flat sequence of finite numbers >= 0.
    """
    if class_weights is None:
        return None
    if isinstance(class_weights, (dict, str)) or np.ndim(class_weights) != 1:
        raise ValueError(
            "`class_weights` must be a flat sequence, one weight for each class in the "
            f"order of the class ids. Received: class_weights={class_weights!r}"
        )
    weights = [float(weight) for weight in class_weights]
    if not weights or not all(0 <= weight < float("inf") for weight in weights):
        raise ValueError(
            "`class_weights` must be one finite number >= 0 for each class. "
            f"Received: class_weights={class_weights}"
        )
    return weights


@keras.saving.register_keras_serializable(package="keras_danet")
class CrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy of raw logits, averaged over the labeled pixels.

    The loss of both papers, put on every head. With `ce` the cross-entropy of a pixel
    and `w` the weight of its class (1 without `class_weights`), summed over the pixels
    that are not `ignore_class`:

        average="labelled":  sum(w * ce) / sum(w)      PyTorch, the official DANet
        average="all":       sum(w * ce) / (B * H * W) mmsegmentation

    A batch without a labeled pixel gives 0. A label that is neither `ignore_class` nor
    a class (out of range, a fraction, NaN) makes the loss NaN on every backend, in
    compiled code too, and never crashes; it adds no gradient, so the weights survive.
    All is computed in float32 whatever the dtype policy.

    The divisor is global: under `tf.distribute` it is counted over all replicas, so
    that N replicas train and log exactly as one device does on the same global batch,
    whatever each replica's share of ignored pixels.

    Args:
        ignore_class: label (int) of the pixels that do not count, or None.
        class_weights: None or one finite number >= 0 for each class, by class id.
        average: `"labelled"` or `"all"`, see above.
        name: name of the loss.

    Call arguments:
        y_true: labels, (B, H, W) or (B, H, W, 1), any integer or float dtype.
        y_pred: raw logits, (B, H, W, K), at the label map's size.
        sample_weight: optional; (B,), (B, 1, 1) or (B, H, W): multiplies the pixels'
            terms, the divisor stays.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: when labels and logits differ in rank or size, the class weights
            are not one for each class, or the sample weights fit neither images nor
            pixels.

    Example:

    >>> labels = np.array([[[0, 1], [255, 1]]], "uint8")
    >>> logits = np.zeros((1, 2, 2, 2), "float32")
    >>> float(CrossEntropy()(labels, logits))  # log(2)
    0.6931471824645996

    Differs from `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`: class
    weights, the global divisor, weights of shape (B,), unknown labels, and no silent
    255.

    Reference:
        Fu et al., Dual Attention Network for Scene Segmentation, CVPR 2019, section
        4.1 (three losses); PyTorch, `torch.nn.CrossEntropyLoss` (class weights).
    """

    def __init__(
        self,
        ignore_class=255,
        class_weights=None,
        average="labelled",
        name="cross_entropy",
    ):
        # "sum": `call` has already divided by a count over all replicas; any other
        # reduction would divide a second time.
        super().__init__(name=name, reduction="sum", dtype="float32")
        if average not in ("labelled", "all"):
            raise ValueError(
                '`average` must be "labelled" (divide by the labeled pixels) or "all" '
                f"(divide by all pixels). Received: average={average!r}"
            )
        self.ignore_class = validated_ignore_class(ignore_class)
        self.class_weights = validated_class_weights(class_weights)
        self.average = average

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            sample_weight = pixel_weights(sample_weight)
        return share_of_replicas(super().__call__(y_true, y_pred, sample_weight))

    def call(self, y_true, y_pred):
        """Terms (B, H, W) whose sum is the loss."""
        pixels = split_pixels(y_true, y_pred, self.ignore_class)
        values = pixel_cross_entropy(pixels, y_pred)
        count = pixels.labelled
        if self.average == "all":
            count = ops.ones_like(count)
        count = count_pixels(count)
        if self.class_weights is not None:
            self._check_class_weights(y_pred)
            weights = pixel_class_weights(pixels, self.class_weights)
            values = values * weights
            if self.average == "labelled":
                count = sum_across_replicas(ops.sum(weights))
        return divide_or_zero(values, count)

    def _check_class_weights(self, logits):
        if len(self.class_weights) != logits.shape[-1]:
            raise ValueError(
                f"{len(self.class_weights)} class weights do not fit logits of "
                f"{logits.shape[-1]} classes. Expected one weight for each class. "
                f"Received: class_weights={self.class_weights}, "
                f"logits.shape={tuple(logits.shape)}"
            )

    def get_config(self):
        return {
            "ignore_class": self.ignore_class,
            "class_weights": self.class_weights,
            "average": self.average,
            "name": self.name,
        }
