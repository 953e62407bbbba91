"""Bilinear resizing with PyTorch's meaning of `align_corners`, at any size."""

import keras
from keras import ops

from keras_danet.layers.feature_map import pair_of_shapes


def bilinear_resize(features, size, align_corners=False):
    """`features` resized bilinearly to `size`, without antialiasing.

    Output row `o` reads the input at row `(o + 0.5) h / H - 0.5`, or at
    `o (h - 1) / (H - 1)` with `align_corners`; columns alike.

    TensorFlow and PyTorch use their own kernels, JAX two interpolation matrices.

    Args:
        features: (B, h, w, C), floating point.
        size: (H, W), ints or scalar tensors.
        align_corners: bool, whether the corners' centers stay where they are, as the
            official DANet and the 769x769 models of mmsegmentation have it.

    Returns:
        (B, H, W, C) in the dtype of `features`.

    Example:

    >>> bilinear_resize(keras.random.normal((1, 4, 4, 3)), (9, 7)).shape
    (1, 9, 7, 3)
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _resize_by_tensorflow(features, size, align_corners)
    if backend == "torch":
        return _resize_by_torch(features, size, align_corners)
    return resize_by_matrices(features, size, align_corners)


def resize_by_matrices(features, size, align_corners=False):
    """`bilinear_resize` as two matrix products, in `keras.ops` alone."""
    dtype = features.dtype
    height, width = ops.shape(features)[1:3]
    rows = interpolation_matrix(height, size[0], align_corners)  # (H, h)
    columns = interpolation_matrix(width, size[1], align_corners)  # (W, w)
    features = ops.cast(features, "float32")
    features = ops.einsum("Hh,bhwc->bHwc", rows, features)
    features = ops.einsum("Ww,bHwc->bHWc", columns, features)
    return ops.cast(features, dtype)


def interpolation_matrix(length, new_length, align_corners=False):
    """(new_length, length) float32 weights of linear interpolation along one axis."""
    # The lengths stay as they are given, so that under `jax.jit` they stay static.
    index = ops.cast(ops.arange(new_length), "float32")
    source = ops.cast(ops.arange(length), "float32")
    last = ops.cast(length - 1, "float32")
    if align_corners:
        position = index * last / ops.cast(ops.maximum(new_length - 1, 1), "float32")
    else:
        scale = ops.cast(length, "float32") / ops.cast(new_length, "float32")
        position = (index + 0.5) * scale - 0.5
    position = ops.clip(position, 0, last)
    distance = ops.expand_dims(position, 1) - source
    return ops.maximum(1 - ops.abs(distance), 0)


def _resize_by_tensorflow(features, size, align_corners):
    import tensorflow as tf

    resized = tf.raw_ops.ResizeBilinear(
        images=tf.cast(features, "float32"),
        size=tf.stack([tf.cast(length, "int32") for length in size]),
        align_corners=align_corners,
        half_pixel_centers=not align_corners,
    )
    return tf.cast(resized, features.dtype)


def _resize_by_torch(features, size, align_corners):
    from torch.nn.functional import interpolate

    resized = interpolate(
        features.permute(0, 3, 1, 2),  # (B, C, h, w)
        size=[int(length) for length in size],
        mode="bilinear",
        align_corners=align_corners,
    )
    return resized.permute(0, 2, 3, 1)  # (B, H, W, C)


@keras.saving.register_keras_serializable(package="keras_danet")
class BilinearResize(keras.layers.Layer):
    """Resizes one map bilinearly to the height and width of another.

    Use it to bring logits back to the image's size, or a high stage to a lower one.

    Args:
        align_corners: bool, see `bilinear_resize`.

    Call arguments:
        inputs: a pair of (B, h, w, C) features and (B, H, W, D) whose size is wanted;
            every size may be unknown until the call.

    Returns:
        (B, H, W, C) in the layer's compute dtype.

    Example:

    >>> low, high = keras.random.normal((1, 9, 7, 3)), keras.random.normal((1, 4, 4, 8))
    >>> BilinearResize()([high, low]).shape
    (1, 9, 7, 8)

    Reference: DANet and DF-DAM state no `align_corners`; the released code of DANet
    has True, mmsegmentation False but for its 769x769 models.
    """

    def __init__(self, align_corners=False, **kwargs):
        super().__init__(**kwargs)
        self.align_corners = align_corners

    def build(self, input_shape):
        pair_of_shapes(self.name, input_shape)

    def call(self, inputs):
        features, target = inputs
        features = ops.cast(features, self.compute_dtype)
        return bilinear_resize(features, ops.shape(target)[1:3], self.align_corners)

    def compute_output_shape(self, input_shape):
        features, target = input_shape
        return (features[0], *target[1:3], features[3])

    def get_config(self):
        return {**super().get_config(), "align_corners": self.align_corners}
