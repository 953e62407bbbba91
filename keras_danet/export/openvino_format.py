"""OpenVINO files: a graph in .xml, its weights in .bin beside."""

from pathlib import Path

from keras_danet.export.comparison import compare
from keras_danet.export.inference_graph import (
    attention_form,
    inference_copy,
    inference_function,
)
from keras_danet.export.packages import require


def write_openvino(model, path):
    """Writes an OpenVINO model: `images` (B, H, W, 3) -> `logits` (B, H, W, K).

    B, H and W stay free. The position attention keeps its blocks (a `Loop`), so that
    memory stays linear in the number of pixels. Weights are float32; a CPU with
    bfloat16 computes in that by default, and in float32 with the property
    `INFERENCE_PRECISION_HINT` "f32", as the comparison here does.

    Args:
        model: functional `keras.Model` of the TensorFlow backend.
        path: of the .xml file.

    Returns:
        A dict, see `comparison.compare`, and "attention": "blocks", "dense" or None.

    Raises:
        ImportError: openvino is not installed.
        ValueError: `path` does not end in .xml, or OpenVINO's answers differ from the
            model's.
    """
    path = Path(path)
    if path.suffix != ".xml":
        raise ValueError(
            "An OpenVINO model is an .xml file and its weights in a .bin beside. "
            f"Received: path={str(path)!r}"
        )
    (openvino,) = require("openvino")
    copy = inference_copy(model)
    function, _ = inference_function(copy)
    converted = openvino.convert_model(function.get_concrete_function())
    openvino.save_model(converted, path, compress_to_fp16=False)
    report = compare(model, _compiled(openvino, path), "The OpenVINO file")
    return {**report, "attention": attention_form(copy)}


def _compiled(openvino, path):
    """The file in OpenVINO, as a function of images."""
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return lambda images: compiled([images])[0]
