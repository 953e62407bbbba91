"""The dual attention fusion module (DAFM) of DF-DAM."""

import keras
from keras import ops

from keras_danet.layers.batch_normalization import BatchNormalization
from keras_danet.layers.feature_map import channel_count, pair_of_shapes
from keras_danet.layers.resize import bilinear_resize


@keras.saving.register_keras_serializable(package="keras_danet")
class DAFM(keras.layers.Layer):
    """Dual attention fusion module: the two highest stages as context information.

    Global pooling of the highest stage feeds two gates of one shape and separate
    weights, which weigh the channels of both stages before they are added:

    `context = a_low * L + a_high * H`, with
    `L = ReLU(BN(conv1x1(low)))`, `H = ReLU(BN(conv1x1(resize(high))))` and
    `a = sigmoid(dense(ReLU(dense(mean(high)))))`.

    The paper gives neither the width of the gates nor the order of enlarging and
    convolution; both were recovered from its parameter and operation counts: a hidden
    width of `filters // 16`, and enlarging first.

    Args:
        filters: int, channels of the context information.
        align_corners: bool, see `bilinear_resize`.

    Call arguments:
        inputs: pair of raw stages `[low, high]`, (B, h, w, C) and (B, h', w', C').
        training: bool, for the batch normalization.
        return_attention_scores: bool.

    Returns:
        (B, h, w, filters), or a pair of that and the two weight vectors
        `(a_low, a_high)`, each (B, filters) in [0, 1].

    Example:

    >>> low = keras.random.normal((1, 8, 8, 256))
    >>> high = keras.random.normal((1, 4, 4, 512))
    >>> keras_danet.layers.DAFM()([low, high]).shape
    (1, 8, 8, 128)

    Reference: DF-DAM, section 3.2 and Figure 3.
    """

    def __init__(self, filters=128, align_corners=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.align_corners = align_corners

    def build(self, input_shape):
        low_shape, high_shape = pair_of_shapes(self.name, input_shape)
        channel_count(self.name, low_shape)
        channels = channel_count(self.name, high_shape)
        hidden = max(1, self.filters // 16)
        self.low_conv = self._conv("low_conv", low_shape)
        self.low_bn = self._bn("low_bn")
        self.high_conv = self._conv("high_conv", high_shape)
        self.high_bn = self._bn("high_bn")
        pooled = (None, channels)
        self.low_hidden = self._dense("low_hidden", hidden, "relu", pooled)
        self.low_gate = self._dense("low_gate", self.filters, None, (None, hidden))
        self.high_hidden = self._dense("high_hidden", hidden, "relu", pooled)
        self.high_gate = self._dense("high_gate", self.filters, None, (None, hidden))

    def _conv(self, name, shape):
        layer = keras.layers.Conv2D(
            self.filters, 1, use_bias=False, dtype=self.dtype_policy, name=name
        )
        layer.build(shape)
        return layer

    def _bn(self, name):
        layer = BatchNormalization(dtype=self.dtype_policy, name=name)
        layer.build((None, None, None, self.filters))
        return layer

    def _dense(self, name, units, activation, shape):
        layer = keras.layers.Dense(
            units, activation=activation, dtype=self.dtype_policy, name=name
        )
        layer.build(shape)
        return layer

    def call(self, inputs, training=None, return_attention_scores=False):
        low, high = inputs
        pooled = ops.mean(high, axis=(1, 2))  # (B, C')
        low_score = _sigmoid(self.low_gate(self.low_hidden(pooled)))  # (B, filters)
        high_score = _sigmoid(self.high_gate(self.high_hidden(pooled)))
        high = bilinear_resize(high, ops.shape(low)[1:3], self.align_corners)
        low = ops.relu(self.low_bn(self.low_conv(low), training=training))
        high = ops.relu(self.high_bn(self.high_conv(high), training=training))
        context = _weigh(low, low_score) + _weigh(high, high_score)
        if return_attention_scores:
            return context, (low_score, high_score)
        return context

    def compute_output_shape(self, input_shape, return_attention_scores=False):
        low, _ = input_shape
        context = (*low[:-1], self.filters)
        if return_attention_scores:
            score = (low[0], self.filters)
            return context, (score, score)
        return context

    def compute_output_spec(self, inputs, training=None, return_attention_scores=False):
        shapes = [x.shape for x in inputs]
        context = keras.KerasTensor(
            self.compute_output_shape(shapes), dtype=self.compute_dtype
        )
        if not return_attention_scores:
            return context
        score = keras.KerasTensor((context.shape[0], self.filters), dtype="float32")
        return context, (score, score)

    def inner_operations(self, input_shape):
        """(layer, its input's shape) pairs run inside, for `keras_danet.profile`."""
        low, high = input_shape
        enlarged = (*low[:-1], high[-1])
        fused = (*low[:-1], self.filters)
        pooling = keras.layers.GlobalAveragePooling2D()
        pooled, hidden = (low[0], high[-1]), (low[0], self.low_hidden.units)
        gates = [(self.low_hidden, self.low_gate), (self.high_hidden, self.high_gate)]
        rows = [(self.low_conv, low), (self.low_bn, fused)]
        rows += [(self.high_conv, enlarged), (self.high_bn, fused)]
        for first, second in gates:
            rows += [(pooling, high), (first, pooled), (second, hidden)]
        return rows

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "align_corners": self.align_corners,
        }


def _sigmoid(energy):
    return ops.sigmoid(ops.cast(energy, "float32"))


def _weigh(features, score):
    score = ops.cast(score, features.dtype)
    return features * score[:, None, None, :]  # (B, h, w, filters)
