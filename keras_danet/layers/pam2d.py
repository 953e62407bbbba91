"""The 2D position attention module (2DPAM) of DF-DAM."""

import keras
from keras import ops

from keras_danet.layers.batch_normalization import BatchNormalization
from keras_danet.layers.feature_map import channel_count, pair_of_shapes


@keras.saving.register_keras_serializable(package="keras_danet")
class PAM2D(keras.layers.Layer):
    """2D position attention module: filters the lowest stage under the context's eye.

    A small network reads both maps and gives one confidence per position:

    `score = sigmoid(conv1x1(r(conv3x3(r(conv1x1([spatial, context]))))))`,
    `r = ReLU(BN(.))`, and the module returns `score * spatial`.

    The model adds the context afterwards (equation 10). The paper does not give the
    layers; these were recovered from its parameter and operation counts.

    Args:
        filters: int, channels of the two hidden convolutions.

    Call arguments:
        inputs: pair `[spatial, context]` of one height and width, (B, h, w, C) and
            (B, h, w, C').
        training: bool, for the batch normalization.
        return_attention_scores: bool.

    Returns:
        (B, h, w, C), or a pair of that and the confidence map (B, h, w, 1) in [0, 1].

    Example:

    >>> spatial = keras.random.normal((1, 16, 16, 128))
    >>> context = keras.random.normal((1, 16, 16, 128))
    >>> keras_danet.layers.PAM2D()([spatial, context]).shape
    (1, 16, 16, 128)

    Reference: DF-DAM, section 3.3, Figure 4 and equation 9.
    """

    def __init__(self, filters=64, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        spatial, context = pair_of_shapes(self.name, input_shape)
        channels = channel_count(self.name, spatial) + channel_count(self.name, context)
        if spatial[1:3] != context[1:3] and None not in (*spatial[1:3], *context[1:3]):
            raise ValueError(
                f'Layer "{self.name}" needs two maps of one height and width; enlarge '
                "the context with `BilinearResize` first. "
                f"Received: spatial {spatial}, context {context}"
            )
        hidden = (None, None, None, self.filters)
        self.conv1 = self._conv("conv1", self.filters, 1, (None, None, None, channels))
        self.bn1 = self._bn("bn1")
        self.conv2 = self._conv("conv2", self.filters, 3, hidden)
        self.bn2 = self._bn("bn2")
        self.conv3 = self._conv("conv3", 1, 1, hidden, use_bias=True)

    def _conv(self, name, filters, kernel_size, shape, use_bias=False):
        layer = keras.layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=use_bias,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(shape)
        return layer

    def _bn(self, name):
        layer = BatchNormalization(dtype=self.dtype_policy, name=name)
        layer.build((None, None, None, self.filters))
        return layer

    def call(self, inputs, training=None, return_attention_scores=False):
        spatial, context = inputs
        x = ops.concatenate([spatial, context], axis=-1)
        x = ops.relu(self.bn1(self.conv1(x), training=training))
        x = ops.relu(self.bn2(self.conv2(x), training=training))
        score = ops.sigmoid(ops.cast(self.conv3(x), "float32"))  # (B, h, w, 1)
        filtered = spatial * ops.cast(score, spatial.dtype)
        if return_attention_scores:
            return filtered, score
        return filtered

    def compute_output_shape(self, input_shape, return_attention_scores=False):
        spatial, _ = input_shape
        if return_attention_scores:
            return tuple(spatial), (*spatial[:-1], 1)
        return tuple(spatial)

    def compute_output_spec(self, inputs, training=None, return_attention_scores=False):
        shape = inputs[0].shape
        filtered = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if return_attention_scores:
            score = keras.KerasTensor((*shape[:-1], 1), dtype="float32")
            return filtered, score
        return filtered

    def inner_operations(self, input_shape):
        """(layer, its input's shape) pairs run inside, for `keras_danet.profile`."""
        spatial, context = input_shape
        both = (*spatial[:-1], spatial[-1] + context[-1])
        hidden = (*spatial[:-1], self.filters)
        convs = [(self.conv1, both), (self.conv2, hidden), (self.conv3, hidden)]
        return [*convs, (self.bn1, hidden), (self.bn2, hidden)]

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
