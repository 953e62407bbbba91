"""Photometric distortion against NumPy and colorsys."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from keras_danet import data
from keras_danet.data.augmentation import augment
from keras_danet.data.photometric import distort

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype("float32")
KEEP, CHANGE = 0.7, 0.2


def in_hsv(image, change):
    def pixel(rgb):
        return colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*rgb)))

    return np.array([[pixel(rgb) for rgb in row] for row in image / 255]) * 255


def draw(brightness=None, contrast=None, saturation=None, hue=None, first=True):
    amounts = (brightness, contrast, saturation, hue)
    chosen = [KEEP if a is None else CHANGE for a in amounts] + [
        CHANGE if first else KEEP
    ]
    return tf.constant([chosen, [a or 0.0 for a in amounts] + [0.0]])


def test_nothing_chosen_changes_nothing():
    np.testing.assert_array_equal(distort(IMAGE, draw()), IMAGE)


@pytest.mark.parametrize("amount, shift", [(0.0, -32), (0.75, 16)])
def test_brightness(amount, shift):
    expected = np.clip(IMAGE + shift, 0, 255)
    np.testing.assert_allclose(distort(IMAGE, draw(brightness=amount)), expected)


@pytest.mark.parametrize("amount, factor", [(0.0, 0.5), (0.9, 1.4)])
def test_contrast(amount, factor):
    expected = np.clip(IMAGE * factor, 0, 255)
    result = distort(IMAGE, draw(contrast=amount))
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("amount, factor", [(0.0, 0.5), (0.9, 1.4)])
def test_saturation(amount, factor):
    expected = in_hsv(IMAGE, lambda h, s, v: (h, min(s * factor, 1), v))
    result = distort(IMAGE, draw(saturation=amount))
    np.testing.assert_allclose(result, expected, atol=0.05)


@pytest.mark.parametrize("amount, turn", [(0.0, -0.1), (0.75, 0.05)])
def test_hue(amount, turn):
    expected = in_hsv(IMAGE, lambda h, s, v: ((h + turn) % 1, s, v))
    np.testing.assert_allclose(distort(IMAGE, draw(hue=amount)), expected, atol=0.05)


def test_contrast_comes_first_or_last():
    values = {"contrast": 1.0, "saturation": 0.0}
    first = distort(IMAGE, draw(**values))
    last = distort(IMAGE, draw(**values, first=False))
    assert np.abs(first - last).max() > 1  # clipping makes the order count
    assert last.numpy().min() >= 0 and last.numpy().max() <= 255


def test_padding_and_label_stay_as_they_are():
    image = IMAGE.astype("uint8")
    label = np.arange(30, dtype="uint8").reshape(5, 6)
    changed = 0
    for number in range(8):
        key = tf.constant([number, 1])
        one, ids = augment(image, label, key, (9, 9), (1, 1))
        two, same = augment(
            image, label, key, (9, 9), (1, 1), photometric_distortion=True
        )
        np.testing.assert_array_equal(ids, same)
        np.testing.assert_array_equal(one[5:], two[5:])
        changed += (one[:5, :6].numpy() != two[:5, :6].numpy()).any()
    assert changed > 5


def test_prepare_passes_it_on():
    scenes = data.scenes(2, image_size=(16, 24))
    plain, distorted = (
        next(iter(data.prepare(scenes, 4, training=True, photometric_distortion=on)))
        for on in (False, True)
    )
    np.testing.assert_array_equal(plain[1], distorted[1])
    assert (plain[0].numpy() != distorted[0].numpy()).any()
