"""Matrix products by whatever is fastest on the backend."""

import keras
from keras import ops

from keras_danet.layers.onednn_product import batch_product


def matrix_product(first, second):
    """`first @ second` for (B, M, K) and (B, K, N) tensors of one dtype."""
    if keras.backend.backend() == "torch":
        return batch_product(first, second)
    return ops.matmul(first, second)


def pointwise_convolution(features, layer):
    """What a 1x1 `Conv2D` gives for flattened features, as one matrix product.

    On PyTorch, Keras copies a convolution's input twice to reorder its axes.

    Args:
        features: (B, N, C) tensor.
        layer: built `keras.layers.Conv2D` of kernel size 1 with bias.

    Returns:
        (B, N, filters) tensor of the dtype of `features`.
    """
    batch, positions, channels = ops.shape(features)
    kernel = ops.cast(layer.kernel, features.dtype)
    kernel = ops.reshape(kernel, (1, channels, layer.filters))
    flat = ops.reshape(features, (1, batch * positions, channels))
    output = matrix_product(flat, kernel) + ops.cast(layer.bias, features.dtype)
    return ops.reshape(output, (batch, positions, layer.filters))
