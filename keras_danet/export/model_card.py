"""What somebody who deploys an artefact has to know, for people and for programs."""

import json
from pathlib import Path

import keras
import numpy as np

from keras_danet.visualization.palette import IGNORED, palette

_BYTES = {
    "image_bytes": "string (B): files of JPEG, PNG, GIF (first frame) or BMP",
}
_CLASS_FRACTION = "float32 (B, K): share of the pixels of each class"
_LABEL_PNG = "string (B): PNG of 8-bit class ids, at each image's own size"
_SIGNATURES = {
    "image_bytes": (
        _BYTES, {"label_png": _LABEL_PNG, "class_fraction": _CLASS_FRACTION},
    ),
    "image_bytes_rest": (
        _BYTES, {"label_png_bytes": _LABEL_PNG, "class_fraction": _CLASS_FRACTION},
    ),
    "predict_images": (
        {"images": "uint8 (B, H, W, 3), RGB"},
        {
            "labels": "uint8 (B, H, W): class ids",
            "confidence": "float32 (B, H, W): probability of the label",
        },
    ),
    "predict_logits": (
        {"images": "float32 (B, H, W, 3), RGB"},
        {"logits": "float32 (B, H, W, K)"},
    ),
}  # fmt: skip
_ENCODED_IMAGES = (
    "JPEG (gray and CMYK too) is turned upright by its EXIF orientation; label_png has "
    "the upright size.",
    "PNG of every kind is read; gray 16 bits are scaled to [0, 255], of 16-bit colors "
    "the high byte counts. An orientation noted in a PNG is not applied.",
    "Of a GIF the first frame is taken; one that does not fill the picture is refused.",
    "BMP of 24 or 32 bits is read; with a palette, 16 bits or compression it is "
    "refused.",
    "Alpha is dropped.",
    "An image of more than max_pixels is refused before it is decoded.",
    "One image that cannot be used fails its batch, before any is segmented; the error "
    "(INVALID_ARGUMENT) counts from 0 and says what is wrong with each.",
)


def model_card(model, format, report, **settings):
    """What to know of an exported model, as a dict that JSON can hold.

    Args:
        model: `keras.Model` to logits (B, H, W, K).
        format: str, such as "saved_model".
        report: dict, how the artefact differs from the model.
        **settings: what else the artefact was made with.

    Returns:
        A dict: name, classes with colors, normalization, parameters, versions,
        signatures, and the arguments.
    """
    from keras_danet import __version__

    card = {
        "name": model.name,
        "format": format,
        "keras_danet": __version__,
        "keras": keras.__version__,
        "parameters": int(sum(np.prod(weight.shape) for weight in model.weights)),
        "input": "RGB in [0, 255], not normalized",
        "normalization": _normalization(model),
        "classes": _classes(model),
        "ignored_label": IGNORED,
        "difference_from_keras": report,
        **settings,
    }
    served = format == "saved_model"
    signatures = _SIGNATURES if served else {"default": _SIGNATURES["predict_logits"]}
    card["signatures"] = {
        name: {"inputs": inputs, "outputs": outputs}
        for name, (inputs, outputs) in signatures.items()
    }
    if served:
        card["encoded_images"] = list(_ENCODED_IMAGES)
    return card


def write_model_card(card, path):
    """Writes a card as JSON and Markdown: inside a folder, beside a file.

    Args:
        card: dict of `model_card`.
        path: the artefact, a folder or a file.
    """
    path = Path(path)
    stem = path / "model_card" if path.is_dir() else Path(f"{path}.model_card")
    Path(f"{stem}.json").write_text(json.dumps(card, indent=2) + "\n", "utf-8")
    Path(f"{stem}.md").write_text(_markdown(card), "utf-8")


def _classes(model):
    count = model.output_shape[-1]
    names = getattr(model, "class_names", None) or [f"class {i}" for i in range(count)]
    # 255 is nobody's color: it draws ignored pixels.
    colors = palette(model if count <= IGNORED else IGNORED).tolist() + [None]
    return [{"id": i, "name": name, "color": colors[i]} for i, name in enumerate(names)]


def _normalization(model):
    layers = {layer.name: layer for layer in model.layers}
    layer = layers.get("normalization")
    if not hasattr(layer, "scale") or not hasattr(layer, "offset"):
        return None
    return {
        "formula": "scale * image + offset",
        "channels": "BGR" if getattr(layer, "reverse_channels", False) else "RGB",
        "scale": np.asarray(layer.scale).tolist(),
        "offset": np.asarray(layer.offset).tolist(),
    }


def _markdown(card):
    lines = [f"# {card['name']}", ""]
    tables = ("classes", "signatures", "encoded_images")
    for key, value in card.items():
        if key not in tables:
            shown = json.dumps(value) if isinstance(value, (dict, list)) else value
            lines.append(f"- {key.replace('_', ' ')}: {shown}")
    lines += ["", "| id | class | color |", "|---|---|---|"]
    for row in card["classes"]:
        lines.append(f"| {row['id']} | {row['name']} | {row['color']} |")
    for name, signature in card["signatures"].items():
        lines += ["", f"## Signature `{name}`", ""]
        for direction in ("inputs", "outputs"):
            for tensor, meaning in signature[direction].items():
                lines.append(f"- {direction[:-1]} `{tensor}`: {meaning}")
    if "encoded_images" in card:
        lines += ["", "## Encoded images", ""]
        lines += [f"- {line}" for line in card["encoded_images"]]
    return "\n".join(lines) + "\n"
