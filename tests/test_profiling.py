"""Costs against the papers' and the reference's printed numbers."""

import keras
import numpy as np
import pytest

import keras_danet

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("backbone", "classes", "parameters", "operations"),
    [("resnet_18", 19, 11.57, 10.31), ("resnet_101", 21, 43.24, 35.52)],
)
def test_dfdam_tables_4_and_6(backbone, classes, parameters, operations):
    model = keras_danet.DFDAM(classes, backbone)
    cost = keras_danet.profile(model, (320, 640), convention="dfdam")
    assert round(cost.parameters / 1e6, 2) == parameters
    assert round(cost.operations / 1e9, 2) == operations


@pytest.mark.parametrize(
    ("backbone", "size", "operations"),
    [
        ("resnet_50", (512, 512), 209.6),
        ("resnet_101", (512, 512), 287.2),
        ("resnet_50", (1024, 2048), 2217.8),
    ],
)
def test_danet_as_counted_on_the_reference(backbone, size, operations):
    cost = keras_danet.profile(keras_danet.DANet(19, backbone), size)
    assert round(cost.operations / 1e9, 1) == pytest.approx(operations, abs=0.11)
    positions = size[0] * size[1] // 64
    assert cost.dense_attention_bytes == 4 * positions**2
    assert cost.attention_bytes <= cost.dense_attention_bytes
    assert f"{cost.operations / 1e9:.2f} G operations" in str(cost)


def test_the_model_is_left_alone():
    model = keras_danet.DFDAM(5)
    config, weights = model.get_config(), model.get_weights()
    keras_danet.profile(model, (64, 64))
    assert str(model.get_config()) == str(config)
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


def test_anybodys_model():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    cost = keras_danet.profile(keras.Model(image, x), (10, 20))
    assert cost.operations == 10 * 20 * 27 * 4
    assert cost.parameters == 27 * 4 + 4


def test_errors():
    model = keras_danet.DFDAM(5)
    with pytest.raises(ValueError, match="multiply_accumulate"):
        keras_danet.profile(model, (64, 64), convention="flops")
    with pytest.raises(ValueError, match="functional"):
        keras_danet.profile(keras.layers.Dense(3), (64, 64))
