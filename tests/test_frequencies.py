"""Class weights against the formulas, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from keras_danet import data

LABELS = np.array(
    [[[0, 0, 0, 1], [0, 0, 255, 1]], [[0, 0, 2, 2], [0, 0, 0, 255]]], "uint8"
)


def dataset(labels=LABELS):
    images = np.zeros((*labels.shape[:3], 3), "uint8")
    return tf.data.Dataset.from_tensor_slices((images, labels))


def test_median_frequency():
    frequency = np.array([10 / 14, 2 / 7, 2 / 7])
    expected = np.append(np.median(frequency) / frequency, 1)
    weights = data.class_weights(dataset(), 4)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights.dtype == np.float32


def test_enet():
    share = np.array([10 / 14, 2 / 14, 2 / 14])
    weights = data.class_weights(dataset(LABELS[..., None]), 3, method="enet")
    np.testing.assert_allclose(weights, 1 / np.log(1.02 + share), rtol=1e-6)


def test_all_ignored():
    ignored = dataset(np.full((2, 2, 2), 255, "uint8"))
    np.testing.assert_array_equal(data.class_weights(ignored, 3), np.ones(3))


def test_a_label_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"example 1 .*0 to 1.*Received: \[2\]"):
        data.class_weights(dataset(), 2)
    below = dataset().map(lambda image, label: (image, tf.cast(label, "int32") - 1))
    with pytest.raises(ValueError, match=r"Received: \[-1"):
        data.class_weights(below, 3)
    with pytest.raises(ValueError, match="unbatch"):
        data.class_weights(dataset().batch(2), 3)
    with pytest.raises(ValueError, match="num_classes=256"):
        data.class_weights(dataset(), 256)
    with pytest.raises(ValueError, match="never ends"):
        data.class_weights(dataset().repeat(), 3)
    with pytest.raises(ValueError, match="method='mean'"):
        data.class_weights(dataset(), 3, method="mean")
