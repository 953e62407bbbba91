"""The position attention module (PAM) of DANet."""

import keras
import numpy as np
from keras import ops

from keras_danet.layers.feature_map import (
    at_least_float32,
    channel_count,
    flatten_positions,
)
from keras_danet.layers.matrix_product import pointwise_convolution
from keras_danet.layers.position_attention import (
    position_attention,
    position_attention_scores,
    rows_at_once,
)

__all__ = ["PAM", "position_attention", "position_attention_scores"]


@keras.saving.register_keras_serializable(package="keras_danet")
class PAM(keras.layers.Layer):
    """Position attention module: each position sees all others, near or far alike.

    Three 1x1 convolutions with bias turn the features into queries, keys (both of
    `C // reduction` channels) and values (`C` channels); then, over the `N = H W`
    positions,

    `output_i = gamma * sum_j softmax_j(query_i · key_j) value_j + features_i`

    `gamma` is one scalar of shape `()`, zero at first, so that a new module changes
    nothing. Energies and softmax are float32 under every dtype policy.

    Differs from the paper, as every published DANet does: queries and keys are
    narrower than the features (`reduction` 8). There is no `1 / sqrt(d)`.

    Args:
        reduction: positive int, how many times narrower queries and keys are than
            the features; at least one channel stays.
        block_size: "auto", None or a positive int: see `position_attention`. It
            changes memory and time, not the numbers.

    Call arguments:
        inputs: (B, H, W, C) features; any H and W, which may differ between calls.
        return_attention_scores: bool; True also returns the scores (B, N, N), which
            takes memory quadratic in N.

    Returns:
        (B, H, W, C), or a pair of that and the float32 scores (B, N, N): a row
        per query position, a column per key, positions counted row by row
        (`row * W + column`); every row sums to one.

    Raises:
        ValueError: an argument out of range, an input that is not (B, H, W, C) with
            a known C, or Keras set to "channels_first".

    Example:

    >>> features = keras.random.normal((1, 16, 16, 64))
    >>> keras_danet.layers.PAM()(features).shape
    (1, 16, 16, 64)

    Reference: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019,
    section 3.2.
    """

    def __init__(self, reduction=8, block_size="auto", **kwargs):
        super().__init__(**kwargs)
        if not _is_positive_int(reduction):
            raise ValueError(
                f"`reduction` must be a positive int. Received: reduction={reduction!r}"
            )
        if block_size not in ("auto", None) and not _is_positive_int(block_size):
            raise ValueError(
                '`block_size` must be "auto", None (the dense form) or a positive '
                f"int. Received: block_size={block_size!r}"
            )
        self.reduction = reduction
        self.block_size = block_size
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        channels = channel_count(self.name, input_shape)
        narrow = max(1, channels // self.reduction)
        self.query = self._project("query", narrow, input_shape)
        self.key = self._project("key", narrow, input_shape)
        self.value = self._project("value", channels, input_shape)
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer="zeros", autocast=False
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})

    def _project(self, name, filters, input_shape):
        layer = keras.layers.Conv2D(
            filters, 1, data_format="channels_last", dtype=self.dtype_policy, name=name
        )
        layer.build(input_shape)
        return layer

    def call(self, inputs, return_attention_scores=False):
        if not return_attention_scores:
            return self._add(self._attend(inputs), inputs)
        features = flatten_positions(inputs)  # (B, N, C)
        query = pointwise_convolution(features, self.query)  # (B, N, d)
        key = pointwise_convolution(features, self.key)  # (B, N, d)
        value = pointwise_convolution(features, self.value)  # (B, N, C)
        scores = position_attention_scores(query, key)  # (B, N, N)
        attended = ops.einsum("bij,bjc->bic", scores, ops.cast(value, scores.dtype))
        return self._add(attended, inputs), scores

    def _attend(self, inputs):
        # Apart from `call`, so that the projections are freed before the sum is made.
        features = flatten_positions(inputs)  # (B, N, C)
        return position_attention(
            pointwise_convolution(features, self.query),  # (B, N, d)
            pointwise_convolution(features, self.key),  # (B, N, d)
            pointwise_convolution(features, self.value),  # (B, N, C)
            self.block_size,
        )

    def _add(self, attended, inputs):
        dtype = self.gamma.dtype
        attended = ops.reshape(ops.cast(attended, dtype), ops.shape(inputs))
        output = self.gamma * attended + ops.cast(inputs, dtype)
        return ops.cast(output, self.compute_dtype)

    def attention_scores(self, features, positions):
        """Where the given positions look: their rows of the scores, no others.

        Takes memory for P rows of N scores instead of N rows.

        Args:
            features: (B, H, W, C) features, such as the layer's input.
            positions: (P, 2) ints, (row, column) on the feature map, the same for
                every image: rows in [0, H), columns in [0, W).

        Returns:
            (B, P, N) float32 tensor, N = H * W counted row by row; each row sums to
            one. Equal to `scores[:, row * W + column]` of a call with
            `return_attention_scores=True`.

        Raises:
            ValueError: positions of another shape or dtype, or outside the map.

        Example:

        >>> layer = keras_danet.layers.PAM()
        >>> features = keras.random.normal((1, 16, 24, 64))
        >>> layer.attention_scores(features, [(0, 0), (15, 23)]).shape
        (1, 2, 384)
        """
        if not self.built:
            self.build(features.shape)
        height, width = features.shape[1:3]
        rows, columns = _checked_positions(positions, height, width).T
        features = flatten_positions(ops.cast(features, self.compute_dtype))
        asked = ops.take(features, rows * width + columns, axis=1)  # (B, P, C)
        query = pointwise_convolution(asked, self.query)  # (B, P, d)
        key = pointwise_convolution(features, self.key)  # (B, N, d)
        return position_attention_scores(query, key)

    def compute_output_shape(self, input_shape, return_attention_scores=False):
        if not return_attention_scores:
            return tuple(input_shape)
        batch, height, width, _ = input_shape
        known = height is not None and width is not None
        positions = height * width if known else None
        return tuple(input_shape), (batch, positions, positions)

    def compute_output_spec(self, inputs, return_attention_scores=False):
        output = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = self.compute_output_shape(inputs.shape, True)[1]
        dtype = at_least_float32(self.compute_dtype)
        return output, keras.KerasTensor(shape, dtype=dtype)

    def inner_operations(self, input_shape):
        """(layer, its input's shape) pairs run inside, for `keras_danet.profile`."""
        return [(layer, input_shape) for layer in (self.query, self.key, self.value)]

    def product_count(self, input_shape):
        """Multiply-accumulates of the energies and of the weighted sum."""
        _, height, width, channels = input_shape
        return (height * width) ** 2 * (self.query.filters + channels)

    def score_bytes(self, input_shape):
        """Bytes of an image's float32 scores: (the dense N x N, those held at once)."""
        positions = input_shape[1] * input_shape[2]
        rows = rows_at_once(positions, self.block_size)
        return 4 * positions**2, 4 * positions * rows

    def get_config(self):
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "block_size": self.block_size,
        }


def _is_positive_int(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _checked_positions(positions, height, width):
    array = np.asarray(positions)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            "`positions` must be (P, 2) integers, a (row, column) on the feature map "
            f"each. Received: positions={positions!r}"
        )
    if (array < 0).any() or (array >= (height, width)).any():
        raise ValueError(
            f"`positions` must lie on the feature map of {height} rows and {width} "
            "columns; divide image coordinates by the output stride. "
            f"Received: positions={positions!r}"
        )
    return array.astype("int64")  # row * width would not fit into 8 bits
