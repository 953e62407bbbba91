"""What a layer on feature maps asks of its input, and how it counts positions."""

import keras
from keras import ops


def channel_count(layer_name, input_shape):
    """C of a (B, H, W, C) shape, or an error that says what is wrong with it."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            f'Layer "{layer_name}" reads (B, H, W, C), but Keras is set to another '
            'order. Call `keras.config.set_image_data_format("channels_last")` before '
            "building the model. Received: image_data_format="
            f"{keras.config.image_data_format()!r}"
        )
    if len(input_shape) != 4 or input_shape[-1] is None:
        raise ValueError(
            f'Layer "{layer_name}" needs features (B, H, W, C) with a known C. '
            f"Received: input_shape={tuple(input_shape)}"
        )
    return input_shape[-1]


def pair_of_shapes(layer_name, input_shape):
    """The shapes of a pair of inputs, or an error that says that a pair is needed."""
    several = all(isinstance(shape, (tuple, list)) for shape in input_shape)
    if not several or len(input_shape) != 2:
        raise ValueError(
            f'Layer "{layer_name}" takes a list of two feature maps (B, H, W, C): call '
            f"`layer([first, second])`. Received: input_shape={input_shape}"
        )
    return input_shape


def flatten_positions(features):
    """(B, H, W, C) -> (B, H * W, C), row by row."""
    batch, height, width, channels = ops.shape(features)
    return ops.reshape(features, (batch, height * width, channels))


def at_least_float32(dtype):
    """float32, or float64 for float64: the dtype of energies and softmax."""
    # Not `result_type`, which gives float64 with TensorFlow only.
    wide = keras.backend.standardize_dtype(dtype) == "float64"
    return "float64" if wide else "float32"
