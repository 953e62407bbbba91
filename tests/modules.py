"""The official PAM and CAM modules' numbers, and what both layers are tested for."""

import keras
import numpy as np

from tests.shared import SHARED


def official(name):
    """A fixture of `shared/fixtures/modules` in our layout: (B, H, W, C), HWIO."""
    with np.load(SHARED / "fixtures" / "modules" / f"{name}.npz") as arrays:
        return {key: _channels_last(key, array) for key, array in arrays.items()}


def _channels_last(key, array):
    if array.ndim != 4:
        return array
    kernel = key.startswith(("param_", "grad_")) and key != "grad_x"
    return array.transpose(2, 3, 1, 0) if kernel else array.transpose(0, 2, 3, 1)


def relative_error(actual, expected):
    """Largest difference over the largest expected magnitude."""
    actual = np.asarray(keras.ops.convert_to_numpy(actual), "float64")
    expected = np.asarray(expected, "float64").reshape(actual.shape)
    return np.abs(actual - expected).max() / np.abs(expected).max()


def saved_and_loaded(model, folder):
    """The model after a `.keras` round trip."""
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def features(*shape, scale=1.0, seed=1):
    """Normal random float32 features."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype("float32")
