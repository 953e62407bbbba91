"""`prepare`: the training stream and the evaluation batches."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_danet import data
from keras_danet.data.indexed import indexed


def numbered(count, size=(12, 16)):
    """Example i is one color and one label value, i."""

    def read(index):
        return np.full((*size, 3), index, "uint8"), np.full(size, index, "uint8")

    return indexed(count, read, size)


def batches(dataset, count):
    return [(a.numpy(), b.numpy()) for a, b in itertools.islice(dataset, count)]


def order(dataset, count):
    return [int(i) for _, labels in batches(dataset, count) for i in labels[:, 0, 0]]


def assert_same(one, two):
    for (image, label), (image_two, label_two) in zip(one, two, strict=True):
        np.testing.assert_array_equal(image, image_two)
        np.testing.assert_array_equal(label, label_two)


def streams(dataset):
    """The same data by index and read in order."""
    return dataset, dataset.filter(lambda image, label: True)


@pytest.mark.parametrize("access", [0, 1], ids=["indexed", "in order"])
def test_a_killed_run_goes_on_with_the_same_batches(access):
    dataset = streams(data.scenes(7, image_size=(32, 48)))[access]
    options = {"crop_size": (24, 32), "training": True, "seed": 4}
    whole = batches(data.prepare(dataset, 3, **options), 9)
    assert_same(whole, batches(data.prepare(dataset, 3, **options), 9))
    for start in (1, 5, 8):
        rest = data.prepare(dataset, 3, start_step=start, **options)
        assert_same(whole[start:], batches(rest, 9 - start))
    other = batches(data.prepare(dataset, 3, **{**options, "seed": 5}), 1)
    assert (other[0][1] != whole[0][1]).any()


@pytest.mark.parametrize("access", [0, 1], ids=["indexed", "in order"])
def test_every_epoch_is_another_order_of_all_examples(access):
    dataset = streams(numbered(20))[access]
    prepared = data.prepare(dataset, 5, training=True, scale=(1, 1))
    seen = np.array(order(prepared, 12)).reshape(3, 20)
    for epoch in seen:
        assert sorted(epoch) == list(range(20))
    assert len({tuple(epoch) for epoch in seen}) == 3
    assert list(range(20)) not in seen.tolist()


def test_an_endless_data_set_is_read_on():
    prepared = data.prepare(numbered(4).repeat(), 4, training=True, shuffle_buffer=1)
    assert order(prepared, 3) == [0, 1, 2, 3] * 3


def test_examples_of_one_batch_draw_differently():
    labels = batches(data.prepare(data.scenes(1), 8, 48, training=True), 1)[0][1]
    assert len({label.tobytes() for label in labels}) == 8


def test_training_batches_are_full_uint8_and_of_static_shape():
    prepared = data.prepare(numbered(5), 3, (8, 10), training=True)
    assert prepared.element_spec == (
        tf.TensorSpec((3, 8, 10, 3), tf.uint8),
        tf.TensorSpec((3, 8, 10), tf.uint8),
    )
    assert len(batches(prepared, 4)) == 4


def test_evaluation_gives_whole_images_in_order_and_the_rest():
    prepared = data.prepare(numbered(5), 2)
    assert prepared.cardinality() == 3
    images, labels = zip(*batches(prepared, 9), strict=True)
    assert [len(image) for image in images] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(labels)[:, 0, 0], np.arange(5))


def test_images_of_different_sizes():
    def sized(i):
        size = tf.stack([8 + tf.cast(i, tf.int32), 10])
        label = tf.zeros(size, tf.uint8)
        return tf.zeros((size[0], size[1], 3), tf.uint8), label

    dataset = tf.data.Dataset.range(4).map(sized)
    assert [len(label[0]) for _, label in data.prepare(dataset, 1)] == [8, 9, 10, 11]
    message = "different sizes cannot share a batch.*batch_size=1"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        list(data.prepare(dataset, 2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="crop_size"):
        batches(data.prepare(dataset, 4, training=True), 1)
    assert batches(data.prepare(dataset, 4, 8, training=True), 1)[0][1].shape == (
        4,
        8,
        8,
    )


def test_generators_work():
    def generate():
        for i in range(6):
            yield np.full((9, 9, 3), i, "uint8"), np.full((9, 9), i, "uint8")

    spec = (
        tf.TensorSpec((None, None, 3), "uint8"),
        tf.TensorSpec((None, None), "uint8"),
    )
    dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
    prepared = data.prepare(dataset, 3, training=True, scale=(1, 1))
    seen = order(prepared, 4)
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    resumed = data.prepare(dataset, 3, training=True, scale=(1, 1), start_step=3)
    assert order(resumed, 1) == seen[9:]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 1, "crop_size": 8}, "crop_size=8, training=False"),
        ({"batch_size": 1, "scale": (2, 1)}, r"scale=\(2, 1\)"),
        ({"batch_size": 1, "scale": (0.5, 2), "scale_step": 0.4}, "scale_step=0.4"),
        ({"batch_size": 1, "start_step": -1}, "start_step=-1"),
    ],
)
def test_bad_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.prepare(numbered(2), **arguments)


def test_wrong_elements_are_refused():
    floats = numbered(2).map(lambda image, label: (tf.cast(image, "float32"), label))
    for dataset in (floats, numbered(2).batch(2), numbered(2).map(lambda i, t: i)):
        with pytest.raises(ValueError, match=r"single examples.*Received"):
            data.prepare(dataset, 2)


@pytest.mark.parametrize("access", [0, 1], ids=["indexed", "in order"])
def test_the_global_seed_changes_nothing(access):
    dataset = streams(numbered(9))[access]
    seen = []
    for global_seed in (0, 1):
        tf.random.set_seed(global_seed)
        seen.append(batches(data.prepare(dataset, 3, 8, training=True), 3))
    assert_same(*seen)
