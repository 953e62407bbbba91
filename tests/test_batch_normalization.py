"""Batch normalization against float64 NumPy: outputs, gradients, moving statistics."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.layers import BatchNormalization
from tests.gradients import gradients

SHAPES = ((4, 6, 5, 7), (1, 1, 1, 3), (2, 9, 4), (1, 33, 17, 2))


def oracle(x, gamma, beta, upstream):
    """(outputs, their gradient by x, mean, unbiased variance) in float64."""
    axes = tuple(range(x.ndim - 1))
    count = x[..., 0].size
    mean, variance = x.mean(axes), x.var(axes)
    deviation = np.sqrt(variance + 1e-5)
    unit = (x - mean) / deviation
    by_unit = upstream * gamma
    by_x = by_unit - by_unit.mean(axes) - unit * (by_unit * unit).mean(axes)
    return (
        unit * gamma + beta,
        by_x / deviation,
        mean,
        variance * count / max(count - 1, 1),
    )


def layer_and_data(shape, dtype="float32"):
    random = np.random.default_rng(len(shape) + shape[1])
    gamma, beta = random.uniform(0.5, 2, shape[-1]), random.normal(size=shape[-1])
    x = random.normal(3, 2, shape)
    layer = BatchNormalization(dtype=dtype)
    layer.build(shape)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    return layer, x, gamma, beta, random.normal(size=shape)


def array(value):
    return ops.convert_to_numpy(value)


def trained(layer, x):
    return array(layer(x, training=True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_training_is_the_formula(shape):
    layer, x, gamma, beta, upstream = layer_and_data(shape)
    outputs, by_x, mean, variance = oracle(x, gamma, beta, upstream)
    x, upstream = x.astype("float32"), upstream.astype("float32")
    np.testing.assert_allclose(trained(layer, x), outputs, atol=1e-4)
    np.testing.assert_allclose(array(layer.moving_mean), 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(
        array(layer.moving_variance), 0.9 + 0.1 * variance, rtol=1e-4
    )

    def loss(inputs):
        return ops.sum(layer(inputs, training=True) * ops.convert_to_tensor(upstream))

    gradient = gradients(loss, [], x)[0]
    np.testing.assert_allclose(gradient, by_x, atol=1e-5 * np.abs(by_x).max() + 1e-5)


def test_in_mixed_precision_statistics_are_float32():
    layer, x, gamma, beta, _ = layer_and_data((4, 6, 5, 7), "mixed_bfloat16")
    x = np.asarray(ops.cast(ops.cast(x, "bfloat16"), "float32"), "float64")
    outputs, _, mean, variance = oracle(x, gamma, beta, x)
    result = layer(x.astype("float32"), training=True)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    result = array(ops.cast(result, "float32"))
    np.testing.assert_allclose(result, outputs, atol=0.04)
    np.testing.assert_allclose(array(layer.moving_mean), 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(
        array(layer.moving_variance), 0.9 + 0.1 * variance, rtol=1e-4
    )


def test_frozen_normalizes_by_its_moving_statistics():
    layer, x, gamma, beta, _ = layer_and_data((2, 3, 4, 5))
    layer.trainable = False
    expected = x / np.sqrt(1 + 1e-5) * gamma + beta
    x = x.astype("float32")
    np.testing.assert_allclose(trained(layer, x), expected, atol=1e-5)
    np.testing.assert_array_equal(array(layer.moving_mean), np.zeros(5))
