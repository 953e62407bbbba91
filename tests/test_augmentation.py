"""Random scale, crop and flip against NumPy, eagerly and in tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from keras_danet.data.augmentation import augment, largest_class_share

PAD = np.array([124, 116, 104])


def example(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype="uint8")
    return image, rng.integers(0, 5, (height, width), dtype="uint8")


def coordinates(height, width):
    """An image whose red and green are its row and column; its label is the row."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rows * 0], -1).astype("uint8")
    return image, rows.astype("uint8")


def bilinear(image, height, width):
    """Half-pixel centers, clamped at the border."""
    for axis, size in ((0, height), (1, width)):
        length = image.shape[axis]
        center = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(center).astype(int)
        high = np.minimum(low + 1, length - 1)
        mix = (center - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        image = image.take(low, axis) * (1 - mix) + image.take(high, axis) * mix
    return image


def nearest(label, height, width):
    rows = ((np.arange(height) + 0.5) * label.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * label.shape[1] / width).astype(int)
    return label[rows][:, columns]


def assert_rounded(actual, expected):
    assert np.abs(actual.numpy().astype("float64") - expected).max() <= 0.501


def key(*numbers):
    return tf.constant(numbers, tf.int32)


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
def test_a_fixed_scale_of_the_whole_image_equals_numpy(factor):
    image, label = example(12, 16)
    size = round(12 * factor), round(16 * factor)
    resized, ids = augment(
        image, label, key(0, 1), size, scale=(factor, factor), flip=False
    )
    assert_rounded(resized, bilinear(image, *size))
    np.testing.assert_array_equal(ids, nearest(label, *size))


def test_a_smaller_image_is_padded_at_the_right_and_bottom():
    image, label = example(12, 16)
    padded, ids = augment(image, label, key(0, 1), (20, 18), (0.5, 0.5), flip=False)
    assert_rounded(padded[:6, :8], bilinear(image, 6, 8))
    np.testing.assert_array_equal(ids[:6, :8], nearest(label, 6, 8))
    outside = np.ones((20, 18), bool)
    outside[:6, :8] = False
    assert (padded.numpy()[outside] == PAD).all()
    assert (ids.numpy()[outside] == 255).all()


def test_image_and_label_share_one_draw():
    image, label = coordinates(60, 80)
    corners = set()
    for number in range(40):
        crop, rows = augment(image, label, key(number, 0), (20, 30), (1, 1))
        np.testing.assert_array_equal(crop[..., 0], rows)
        columns = crop.numpy()[0, :, 1].astype(int)
        assert set(np.diff(columns)) in ({1}, {-1})
        corners.add((int(rows[0, 0]), columns.min(), columns[1] > columns[0]))
    flips = [flip for *_, flip in corners]
    assert len(corners) > 30 and 8 < sum(flips) < 32
    assert min(c[0] for c in corners) < 8 and max(c[0] for c in corners) > 32
    assert min(c[1] for c in corners) < 10 and max(c[1] for c in corners) > 40


def test_scales_are_the_range_or_its_steps():
    image, label = coordinates(100, 100)

    def factor(number, **options):
        _, rows = augment(image, label, key(number, 7), (40, 40), flip=False, **options)
        rows = rows.numpy()[:, 0].astype(float)
        return (len(rows) - 1) / (rows[-1] - rows[0] + 1e-9)

    factors = np.array([factor(n, scale=(0.5, 2.0)) for n in range(60)])
    assert 0.45 < factors.min() < 0.7 and 1.7 < factors.max() < 2.2
    steps = np.array([factor(n, scale=(1.0, 2.0), scale_step=0.5) for n in range(40)])
    near = np.abs(steps[:, None] - [1.0, 1.5, 2.0]).argmin(1)
    assert set(near) == {0, 1, 2}
    assert np.abs(steps - np.array([1.0, 1.5, 2.0])[near]).max() < 0.12


def test_base_size_is_the_short_side_at_factor_one():
    image, label = example(30, 60)
    crop, ids = augment(
        image, label, key(0, 0), (15, 30), (1, 1), base_size=15, flip=False
    )
    np.testing.assert_array_equal(ids, nearest(label, 15, 30))
    assert_rounded(crop, bilinear(image, 15, 30))


def test_eager_graph_and_tf_data_agree_exactly():
    image, label = example(37, 53)

    def draw(number):
        seed = tf.random.fold_in(key(5, 6), number)
        return augment(image, label, seed, (24, 32), max_class_share=0.3)

    pipeline = tf.data.Dataset.range(10).map(draw, num_parallel_calls=2)
    graph = tf.function(draw)
    for number, (from_data, from_label) in enumerate(pipeline):
        number = tf.constant(number, tf.int64)
        for crop, ids in (draw(number), graph(number)):
            np.testing.assert_array_equal(crop, from_data)
            np.testing.assert_array_equal(ids, from_label)


def test_max_class_share_avoids_uniform_crops():
    image, label = example(64, 64)
    label[:, :44] = 1

    def shares(limit):
        crops = (
            augment(image, label, key(n, 3), (16, 16), (1, 1), max_class_share=limit)
            for n in range(30)
        )
        return np.array([float(largest_class_share(ids)) for _, ids in crops])

    assert (shares(None) >= 0.75).mean() > 0.4
    assert (shares(0.75) >= 0.75).mean() < 0.1


def test_largest_class_share_ignores_void():
    label = np.array([[255, 255, 255, 1], [2, 2, 255, 2]], "uint8")
    assert float(largest_class_share(label)) == 0.75
    assert float(largest_class_share(np.full((2, 2), 255, "uint8"))) == 1.0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (300, 2)])
def test_extreme_sizes(size):
    image, label = example(*size)
    for number in range(10):
        crop, ids = augment(image, label, key(number, 1), (7, 5))
        assert crop.shape == (7, 5, 3) and ids.shape == (7, 5)
