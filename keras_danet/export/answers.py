"""How far logits may be from those of the Keras model that they stand for."""

import numpy as np


def check_logits(expected, found, model, name):
    """The largest difference of two lists of logits.

    Args:
        expected: list of arrays, the model's logits.
        found: list of arrays of the same shapes.
        model: `keras.Model`, whose layers say how exactly it computes.
        name: str, what gave `found`, for the error.

    Returns:
        float.

    Raises:
        ValueError: it exceeds 1e-3 and 1e-4 of the largest logit, or 3 % of that where
            the model computes in 16 bits.
    """
    off = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    largest = max(float(np.abs(logits).max()) for logits in expected)
    rounded = computes_in_16_bits(model)
    tolerance = 0.03 * largest if rounded else max(1e-3, 1e-4 * largest)
    if not off <= tolerance:  # NaN is not
        raise ValueError(
            f"{name} gives other logits than the model. Expected a difference of "
            f"{tolerance:.3g} at most. Nothing was written. Received: {off:.3g}"
        )
    return off


def computes_in_16_bits(model):
    """Whether any layer does, so that the model's own answers are rounded."""
    return any("16" in layer.compute_dtype for layer in model.layers)
