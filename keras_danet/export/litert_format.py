"""LiteRT files (TensorFlow Lite's format), of float or of 8-bit weights."""

import warnings
from pathlib import Path

import numpy as np

from keras_danet.export.comparison import FLOAT32, compare
from keras_danet.export.inference_graph import (
    attention_form,
    inference_copy,
    inference_function,
)
from keras_danet.export.packages import require

# Agreement of labels below which a file is refused as broken, not just coarse.
_LEAST_AGREEMENT = {"float16": 0.99, "dynamic_int8": 0.9, "int8": 0.8}


def write_litert(model, path, precision="float32", calibration_images=None):
    """Writes a .tflite file: `images` float32 (B, H, W, 3) -> `logits` (B, H, W, K).

    B, H and W stay free: `resize_tensor_input` sets them. The position attention is
    dense, for LiteRT has no loop over blocks of unknown size; its scores take
    4 (H W / 64)^2 bytes at output stride 8, 67 MB for 512x512 pixels.

    - "float32": the model's own weights.
    - "float16": weights rounded to 16 bits, half the file.
    - "dynamic_int8": convolutions' weights rounded to 8 bits, a quarter of the file;
      activations stay floats.
    - "int8": activations too, within ranges seen on `calibration_images`. The energies
      of the channel attention sum over all positions and so grow with the image:
      calibrate with images of the size that will be served.

    Args:
        model: functional `keras.Model` of the TensorFlow backend.
        path: of the file.
        precision: "float32", "float16", "dynamic_int8" or "int8".
        calibration_images: for "int8", images (H, W, 3) in [0, 255].

    Returns:
        A dict, see `comparison.compare`, and "attention": "dense" or None.

    Raises:
        ImportError: ai-edge-litert is not installed.
        ValueError: "int8" without images, or LiteRT's answers differ too much from the
            model's, in "int8" on the first calibration images.
    """
    if precision == "int8" and not len(calibration_images or ()):
        raise ValueError(
            'The precision "int8" needs `calibration_images`: a hundred or so typical '
            "images of the size that will be served. "
            f"Received: calibration_images={calibration_images!r}"
        )
    require("ai_edge_litert.interpreter")
    images = None
    if precision == "int8":
        calibration_images = [_batch(image) for image in calibration_images]
        images = calibration_images[:5]
    path = Path(path)
    copy = inference_copy(model, dense_attention=True)
    path.write_bytes(_convert(copy, precision, calibration_images))
    required = _LEAST_AGREEMENT.get(precision, FLOAT32)
    report = compare(model, _interpreter(path), "The LiteRT file", required, images)
    return {**report, "attention": attention_form(copy)}


def _batch(image):
    return np.asarray(image, "float32")[None]


def _convert(copy, precision, calibration_images):
    import tensorflow as tf

    function, _ = inference_function(copy)
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], copy)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        operations = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.target_spec.supported_ops = operations
        converter.representative_dataset = lambda: (
            {"images": images} for images in calibration_images
        )
    with warnings.catch_warnings():
        # TensorFlow calibrates by an interpreter of its own that it has deprecated.
        warnings.simplefilter("ignore", UserWarning)
        return converter.convert()


def _interpreter(path):
    """The file in LiteRT, as a function of images."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (given,), (found,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def run(images):
        interpreter.resize_tensor_input(given["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return run
