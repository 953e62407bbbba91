"""Image normalization as a layer, so that a saved model takes plain images."""

import keras
from keras import ops

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)

# preprocessing: (scale, offset, reverse_channels)
SETTINGS = {
    "imagenet": (
        [1 / (255 * std) for std in _STD],
        [-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
        False,
    ),
    "caffe": ([1.0, 1.0, 1.0], [-mean for mean in _CAFFE_MEAN], True),
}


@keras.saving.register_keras_serializable(package="keras_danet")
class ImageNormalization(keras.layers.Layer):
    """`scale * image + offset` per channel, of RGB or reversed to BGR first.

    `SETTINGS["imagenet"]` is PyTorch's normalization of an image in [0, 255],
    `SETTINGS["caffe"]` that of the original Keras ResNets (BGR minus the mean).

    Args:
        scale: float, or three of them.
        offset: float, or three of them, in the order after the reversal.
        reverse_channels: bool, RGB to BGR.

    Call arguments:
        inputs: (B, H, W, 3) RGB in [0, 255].

    Returns:
        (B, H, W, 3); computed in float32 under every dtype policy.

    Example:

    >>> scale, offset, reverse = SETTINGS["imagenet"]
    >>> ImageNormalization(scale, offset, reverse)(keras.ops.ones((1, 2, 2, 3))).shape
    (1, 2, 2, 3)
    """

    def __init__(self, scale, offset, reverse_channels=False, **kwargs):
        # float32 always: bfloat16 has 8 bits, no more than the image itself.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.reverse_channels = reverse_channels

    def call(self, inputs):
        if self.reverse_channels:
            # By slices: LiteRT quantizes `flip` with a wrong scale, and OpenVINO merges
            # `take` and `split` with the product below in a wrong order.
            channels = [inputs[..., index : index + 1] for index in (2, 1, 0)]
            inputs = ops.concatenate(channels, axis=-1)
        scale = ops.convert_to_tensor(self.scale, dtype=self.compute_dtype)
        offset = ops.convert_to_tensor(self.offset, dtype=self.compute_dtype)
        return inputs * scale + offset

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "offset": self.offset,
            "reverse_channels": self.reverse_channels,
        }
