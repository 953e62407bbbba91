"""The channel attention module (CAM) of DANet."""

import keras
from keras import ops

from keras_danet.layers.feature_map import (
    at_least_float32,
    channel_count,
    flatten_positions,
)
from keras_danet.layers.matrix_product import matrix_product

_ENERGIES = ("released", "paper")


def channel_attention_scores(features, energy="released"):
    """Softmax over channels of their inner products, the channel attention map.

    With `E[b, i, j] = sum_n features[b, n, i] features[b, n, j]`:

    - "released": `softmax_j(max_j E - E)`, what every published code computes. The
      softmax does not see the maximum, so this is `softmax_j(-E)`, and it is computed
      so: a channel gathers most from those *least* like it.
    - "paper": `softmax_j(E)`, equation 3 of the paper.

    The products sum over all positions without scaling, and overflow float16; they and
    the softmax are taken in float32 (float64 when given float64).

    Args:
        features: (B, N, C) float tensor, N positions.
        energy: "released" or "paper".

    Returns:
        (B, C, C) float32 tensor; each row is in [0, 1] and sums to one.

    Example:

    >>> channel_attention_scores(keras.random.normal((1, 12, 8))).shape
    (1, 8, 8)

    Reference: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019,
    equation 3.
    """
    features = ops.cast(features, at_least_float32(features.dtype))
    products = matrix_product(ops.transpose(features, (0, 2, 1)), features)  # (B, C, C)
    return ops.softmax(products if energy == "paper" else -products, axis=-1)


def channel_attention(features, energy="released"):
    """All channels of a position, weighted by their scores for each channel.

    `output[b, n, i] = sum_j scores[b, i, j] features[b, n, j]`

    Args:
        features: (B, N, C) float tensor, N positions.
        energy: "released" or "paper", as in `channel_attention_scores`.

    Returns:
        (B, N, C) tensor of the dtype of `features`.

    Example:

    >>> channel_attention(keras.random.normal((1, 12, 8))).shape
    (1, 12, 8)

    Reference: Fu et al., CVPR 2019, equations 3 and 4.
    """
    scores = channel_attention_scores(features, energy)
    return ops.cast(_gather(scores, features), features.dtype)


def _gather(scores, features):
    features = ops.cast(features, scores.dtype)
    return matrix_product(features, ops.transpose(scores, (0, 2, 1)))  # (B, N, C)


def _gather_and_add(scores, features, gamma):
    """`gamma * gathered + features`, in one product where that is exact.

    With the identity added to `gamma * scores` the sum needs no pass of its own. A CPU
    multiplies by the identity exactly; a GPU may round float32 factors to TF32.
    """
    if not _on_cpu(features):
        return gamma * _gather(scores, features) + ops.cast(features, scores.dtype)
    # Not `ops.eye`: OpenVINO cannot read TensorFlow's.
    channel = ops.arange(features.shape[-1])
    identity = ops.cast(channel[:, None] == channel, scores.dtype)
    return _gather(gamma * scores + identity, features)


def _on_cpu(features):
    backend = keras.backend.backend()
    if backend == "torch":
        return features.device.type == "cpu"
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


@keras.saving.register_keras_serializable(package="keras_danet")
class CAM(keras.layers.Layer):
    """Channel attention module: each channel sees all others.

    Over the `N = H W` positions, with the scores of `channel_attention_scores`,

    `output_i = gamma * sum_j scores_ij features_j + features_i`

    for the channels `i`, `j`. `gamma` is the only weight: one scalar of shape `()`,
    zero at first, so that a new module changes nothing. Energies and softmax are
    float32 under every dtype policy.

    Differs from the paper: `energy="released"` follows the code that the paper's
    authors and everybody after them published, whose softmax has the other sign.

    Args:
        energy: "released" (`softmax(max - E)`) or "paper" (`softmax(E)`).

    Call arguments:
        inputs: (B, H, W, C) features; any H and W, which may differ between calls.
        return_attention_scores: bool; True also returns the scores (B, C, C).

    Returns:
        (B, H, W, C), or a pair of that and the float32 scores (B, C, C): a row per
        channel that gathers, a column per channel gathered; every row sums to one.

    Raises:
        ValueError: an unknown `energy`, an input that is not (B, H, W, C) with a
            known C, or Keras set to "channels_first".

    Example:

    >>> features = keras.random.normal((1, 16, 16, 64))
    >>> keras_danet.layers.CAM()(features).shape
    (1, 16, 16, 64)

    Reference: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019,
    section 3.3.
    """

    def __init__(self, energy="released", **kwargs):
        super().__init__(**kwargs)
        if energy not in _ENERGIES:
            raise ValueError(
                '`energy` must be "released" (softmax of max - E, as in every '
                'published code) or "paper" (softmax of E). '
                f"Received: energy={energy!r}"
            )
        self.energy = energy
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        channels = channel_count(self.name, input_shape)
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer="zeros", autocast=False
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})

    def call(self, inputs, return_attention_scores=False):
        features = flatten_positions(inputs)  # (B, N, C)
        scores = channel_attention_scores(features, self.energy)  # (B, C, C)
        output = _gather_and_add(scores, features, self.gamma)
        output = ops.reshape(ops.cast(output, self.compute_dtype), ops.shape(inputs))
        return (output, scores) if return_attention_scores else output

    def compute_output_shape(self, input_shape, return_attention_scores=False):
        if not return_attention_scores:
            return tuple(input_shape)
        batch, channels = input_shape[0], input_shape[-1]
        return tuple(input_shape), (batch, channels, channels)

    def compute_output_spec(self, inputs, return_attention_scores=False):
        output = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = self.compute_output_shape(inputs.shape, True)[1]
        return output, keras.KerasTensor(shape, at_least_float32(self.compute_dtype))

    def inner_operations(self, input_shape):
        """No layer runs inside; see `product_count`."""
        return []

    def product_count(self, input_shape):
        """Multiply-accumulates of the energies and of the weighted sum."""
        _, height, width, channels = input_shape
        return 2 * height * width * channels**2

    def get_config(self):
        return {**super().get_config(), "energy": self.energy}
