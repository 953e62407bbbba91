"""`export_model`: one path from a Keras model on any backend to a file for serving."""

import importlib.util

import keras

from keras_danet.export.model_card import model_card, write_model_card
from keras_danet.export.unfinished import unfinished
from keras_danet.images import as_image

FORMATS = ("saved_model", "onnx", "openvino", "litert")
SIGNATURES = ("image_bytes", "predict_images", "predict_logits")
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")
MAX_PIXELS = 2**22


def export_model(
    model,
    path,
    format="saved_model",
    *,
    default_signature="image_bytes",
    max_pixels=MAX_PIXELS,
    precision="float32",
    calibration_images=None,
    overwrite=False,
):
    """Writes a model for serving: a SavedModel, or an ONNX, OpenVINO or LiteRT file.

    All that the model does to an image is inside: the normalization, the main head and
    no other, the logits at the image's size. What was written is loaded again and
    compared with the model on images, and appears at `path` only if it gives the same
    answers. Exports are made by TensorFlow; on JAX and PyTorch in a second process.

    A SavedModel has these signatures (`keras_danet.export.saved_model`), one of them
    under `serving_default` too, B, H and W being free:

    - `image_bytes`: encoded images of any sizes -> `label_png`, `class_fraction`.
    - `image_bytes_rest`: the same, for REST: `label_png_bytes` comes in base64.
    - `predict_images`: `images` uint8 -> `labels`, `confidence`.
    - `predict_logits`: `images` float32 -> `logits`.

    TensorFlow Serving looks for folders named by a version number, so give it
    `path="models/street/1"` and serve `models/street`. In the folder lie also a model
    card (`model_card.json`, `model_card.md`) and the requests that warm a server up;
    the cards of the other formats lie beside the file.

    Args:
        model: `keras.Model` from RGB images (B, H, W, 3) to logits (B, H, W, K),
            K <= 256. A SavedModel needs H and W free.
        path: str or path: a folder for a SavedModel, else a file.
        format: "saved_model", "onnx", "openvino" (`path` ends in .xml) or "litert".
        default_signature: "image_bytes", "predict_images" or "predict_logits"; a
            SavedModel's `serving_default`, the only one that OpenVINO reads.
        max_pixels: int, pixels of an encoded image above which a SavedModel refuses to
            decode it; the network must fit into memory at that size.
        precision: "float32"; of LiteRT also "float16", "dynamic_int8" or "int8".
        calibration_images: images (H, W, 3) or (N, H, W, 3) in [0, 255], whose ranges
            "int8" needs.
        overwrite: bool, whether to replace what is at `path`.

    Returns:
        A dict: how far the artefact's answers are from the model's.

    Raises:
        ValueError: an argument out of range, something at `path` already, a model that
            is no network of logits, or an artefact whose answers differ.
        RuntimeError: the second process failed; its error is in the message.

    Example:

    >>> keras_danet.export_model(model, "models/street/1")
    """
    settings = _checked_settings(
        format, default_signature, max_pixels, precision, calibration_images
    )
    _check_model(model, format)
    _check_tensorflow()
    with unfinished(path, overwrite) as place:
        if keras.backend.backend() == "tensorflow":
            from keras_danet.export.writers import write
        else:
            from keras_danet.export.second_process import write
        report = write(model, place, format, settings)
        settings.pop("calibration_images", None)
        write_model_card(model_card(model, format, report, **settings), place)
    return report


def _checked_settings(
    format, default_signature, max_pixels, precision, calibration_images
):
    """The settings of the format; the others must be left as they are by default."""
    _check_choice("format", format, FORMATS)
    _check_choice("default_signature", default_signature, SIGNATURES)
    _check_choice("precision", precision, PRECISIONS)
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int):
        raise ValueError(f"`max_pixels` must be an int. Received: {max_pixels!r}")
    if max_pixels < 1:
        raise ValueError(f"`max_pixels` must be positive. Received: {max_pixels}")
    if format != "saved_model" and (
        default_signature != SIGNATURES[0] or max_pixels != MAX_PIXELS
    ):
        raise ValueError(
            "`default_signature` and `max_pixels` are a SavedModel's. "
            f"Received: format={format!r}, default_signature={default_signature!r}, "
            f"max_pixels={max_pixels}"
        )
    if format != "litert" and precision != "float32":
        raise ValueError(
            f"Only LiteRT has the precision {precision!r}. Received: format={format!r}"
        )
    if (precision == "int8") != (calibration_images is not None):
        raise ValueError(
            "`calibration_images`, a hundred or so typical ones, go with "
            f'precision="int8" and with no other. Received: precision={precision!r}, '
            f"calibration_images={'None' if calibration_images is None else 'images'}"
        )
    if format == "saved_model":
        return {"default_signature": default_signature, "max_pixels": max_pixels}
    if format != "litert":
        return {}
    if calibration_images is not None:
        calibration_images = [as_image(image) for image in calibration_images]
    return {"precision": precision, "calibration_images": calibration_images}


def _check_model(model, format):
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: {type(model).__name__}"
        )
    if isinstance(model, keras.Sequential) or not getattr(model, "inputs", None):
        raise ValueError(
            "`model` must be a functional model; a `Sequential` that knows its input "
            "becomes one by `keras.Model(model.inputs, model.outputs)`. "
            f"Received: {type(model).__name__}"
        )
    shapes = model.input_shape, model.output_shape
    if not all(isinstance(shape, tuple) and len(shape) == 4 for shape in shapes):
        raise ValueError(
            "`model` must turn images (B, H, W, 3) into one map of logits "
            f"(B, H, W, K). Received: shapes {shapes}"
        )
    if shapes[1][-1] > 256:
        raise ValueError(
            "Labels are exported as 8-bit class ids, so a model may have 256 classes "
            f"at most. Received: {shapes[1][-1]} classes"
        )
    if format == "saved_model" and shapes[0] != (None, None, None, 3):
        raise ValueError(
            "A SavedModel answers images of any size, but this model takes one only. "
            "Build it with `image_shape=(None, None, 3)` and copy the weights by "
            f"`set_weights(model.get_weights())`. Received: input shape {shapes[0]}"
        )


def _check_tensorflow():
    if importlib.util.find_spec("tensorflow") is None:
        raise ModuleNotFoundError(
            "Exports are made by TensorFlow, whichever backend trained the model. "
            "Run `pip install tensorflow`.",
            name="tensorflow",
        )


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )
