"""Bilinear resizing against NumPy: each backend's kernel and the portable form."""

import keras
import numpy as np
import pytest

from keras_danet.layers import BilinearResize
from keras_danet.layers.resize import bilinear_resize, resize_by_matrices
from tests.gradients import gradients

SIZES = [((4, 5), (32, 40)), ((13, 17), (97, 129)), ((9, 7), (4, 11)), ((1, 1), (3, 5))]
SIZES += [((6, 3), (1, 1)), ((5, 5), (5, 5)), ((1, 7), (2, 1))]


def resize_in_numpy(features, size, align_corners):
    """The definition, one output pixel at a time, in float64."""
    out = np.zeros((features.shape[0], *size, features.shape[3]))

    def taps(index, length, new_length):
        if align_corners:
            position = index * (length - 1) / max(new_length - 1, 1)
        else:
            position = (index + 0.5) * length / new_length - 0.5
        position = min(max(position, 0), length - 1)
        low = int(position)
        return low, min(low + 1, length - 1), position - low

    for i in range(size[0]):
        top, bottom, down = taps(i, features.shape[1], size[0])
        for j in range(size[1]):
            left, right, across = taps(j, features.shape[2], size[1])
            upper = (
                features[:, top, left] * (1 - across) + features[:, top, right] * across
            )
            lower = (
                features[:, bottom, left] * (1 - across)
                + features[:, bottom, right] * across
            )
            out[:, i, j] = upper * (1 - down) + lower * down
    return out


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("size", "new_size"), SIZES)
@pytest.mark.parametrize("function", [bilinear_resize, resize_by_matrices])
def test_equals_the_definition(function, size, new_size, align_corners):
    features = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    resized = function(keras.ops.convert_to_tensor(features), new_size, align_corners)
    expected = resize_in_numpy(features, new_size, align_corners)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(resized), expected, atol=2e-6 * 5
    )


@pytest.mark.parametrize("align_corners", [False, True])
def test_gradient_is_the_transposed_map(align_corners):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1, 5, 4, 2)).astype("float32")
    weight = rng.normal(size=(1, 11, 9, 2)).astype("float32")

    def total(features):
        resized = bilinear_resize(features, (11, 9), align_corners)
        return keras.ops.sum(resized * keras.ops.convert_to_tensor(weight))

    (found,) = gradients(total, [], [features])
    expected = np.zeros_like(features)
    for index in np.ndindex(features.shape):
        unit = np.zeros_like(features)
        unit[index] = 1
        expected[index] = (resize_in_numpy(unit, (11, 9), align_corners) * weight).sum()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layer_with_unknown_sizes(tmp_path):
    features = keras.Input((None, None, 3))
    target = keras.Input((None, None, 1))
    resized = BilinearResize(align_corners=True)([features, target])
    assert resized.shape == (None, None, None, 3)
    model = keras.Model([features, target], resized)
    model.save(tmp_path / "resize.keras")
    model = keras.saving.load_model(tmp_path / "resize.keras")
    values = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")
    # `predict` on TensorFlow traces the graph with every size unknown.
    found = model.predict([values, np.zeros((2, 9, 3, 1))], verbose=0)
    np.testing.assert_allclose(found, resize_in_numpy(values, (9, 3), True), atol=1e-5)


def test_float32_output_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    features = keras.random.normal((1, 3, 3, 2))
    target = np.zeros((1, 6, 6, 1))
    dtype = BilinearResize(dtype="float32")([features, target]).dtype
    assert keras.backend.standardize_dtype(dtype) == "float32"
    dtype = BilinearResize()([features, target]).dtype
    assert keras.backend.standardize_dtype(dtype) == "bfloat16"
