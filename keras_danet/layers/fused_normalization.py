"""Batch normalization in one pass of TensorFlow's own kernel (cuDNN, oneDNN)."""

import keras

_TYPES = ("bfloat16", "float16")


def can_fuse(inputs, axis):
    """Whether `fused_normalization` should take them: (B, H, W, C) of 16 bits.

    In float32 its rounding is up to twice as large, which six steps of training show.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and len(inputs.shape) == 4
        and axis in (-1, 3)
        and keras.backend.standardize_dtype(inputs.dtype) in _TYPES
    )


def fused_normalization(inputs, gamma, beta, epsilon):
    """The inputs normalized by their batch, with the statistics that did it.

    As separate operations each would read and write the whole map, and in float32.

    Args:
        inputs: (B, H, W, C).
        gamma: (C,).
        beta: (C,).
        epsilon: float added to the variance.

    Returns:
        (outputs in the inputs' dtype, mean, unbiased variance), the statistics
        float32 (C,).
    """
    import tensorflow as tf

    return tf.compat.v1.nn.fused_batch_norm(
        inputs,
        tf.cast(gamma, "float32"),
        tf.cast(beta, "float32"),
        epsilon=epsilon,
        is_training=True,
    )
