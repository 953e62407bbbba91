"""A model's answers on two images, to hold against what was made of the model."""

import numpy as np

from keras_danet.data.synthetic import draw_scene

_SIZES = ((96, 128), (75, 61))


def comparison_images():
    """Synthetic street scenes of two sizes, uint8 (H, W, 3)."""
    return [draw_scene(0, index, size)[0] for index, size in enumerate(_SIZES)]


def answers_of(model):
    """The logits, float32 (H, W, K), of a Keras model of any backend for each."""
    return [
        model.predict_on_batch(image[None].astype("float32"))[0].astype("float32")
        for image in comparison_images()
    ]


def check_logits(expected, found, model, name):
    """The largest difference of two lists of logits.

    Raises:
        ValueError: it exceeds 1e-3 and 1e-4 of the largest logit, or 3 % of that where
            the model computes in 16 bits.
    """
    off = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    largest = max(float(np.abs(logits).max()) for logits in expected)
    in_16_bits = any("16" in layer.compute_dtype for layer in model.layers)
    tolerance = 0.03 * largest if in_16_bits else max(1e-3, 1e-4 * largest)
    if not off <= tolerance:  # NaN is not
        raise ValueError(
            f"{name} gives other logits than the model. Expected a difference of "
            f"{tolerance:.3g} at most. Nothing was written. Received: {off:.3g}"
        )
    return off
