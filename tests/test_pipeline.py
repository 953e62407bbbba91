"""`prepare`: the training stream and the evaluation batches."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_danet import data
from keras_danet.data.augmentation import augment
from keras_danet.data.indexed import indexed
from keras_danet.data.stream import place
from keras_danet.data.synthetic import draw_scene


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


@pytest.mark.once
def test_the_first_100_batches_come_twice_the_same_and_eagerly():
    """The stream is a function of seed and number; eager calls give the same."""
    scenes = data.scenes(5, image_size=(16, 24))
    options = {"max_class_share": 0.5, "photometric_distortion": True}
    seen = [
        batches(data.prepare(scenes, 1, 16, True, seed=6, **options), 100)
        for _ in range(2)
    ]
    assert_same(*seen)
    key = tf.constant([6, 0])
    for number, batch in enumerate(seen[0]):
        number = tf.constant(number, tf.int64)
        image, label = draw_scene(0, int(place(number, 5, key)), (16, 24))
        seed = tf.random.fold_in(key, number)
        image, label = augment(image, label, seed, (16, 16), **options)
        assert_same([batch], [(image[None].numpy(), label[None].numpy())])


@pytest.mark.parametrize("access", [0, 1], ids=["indexed", "in order"])
def test_the_parts_of_two_processes_are_the_batches_of_one(access):
    dataset = streams(numbered(7))[access]
    options = {"crop_size": 8, "training": True, "start_step": 2}
    whole = batches(data.prepare(dataset, 4, **options), 4)
    parts = [
        batches(data.prepare(dataset, 4, shard=(index, 2), **options), 4)
        for index in (0, 1)
    ]
    joined = [
        tuple(np.concatenate(pair) for pair in zip(*both, strict=True))
        for both in zip(*parts, strict=True)
    ]
    assert_same(whole, joined)


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
    for endless in streams(numbered(5)):
        prepared = data.prepare(endless, 3, (8, 10), training=True)
        assert prepared.cardinality() == tf.data.INFINITE_CARDINALITY


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
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"batch_size": 1, "seed": None}, "seed=None"),
        ({"batch_size": 1, "shuffle_buffer": 0}, "shuffle_buffer=0"),
        ({"batch_size": 1, "crop_size": 8}, r"crop_size=\(8, 8\), training=False"),
        ({"batch_size": 1, "start_step": 3}, "start_step=3, training=False"),
        ({"batch_size": 1, "base_size": 8}, "base_size=8, training=False"),
        ({"batch_size": 1, "crop_size": 0}, "crop_size=0"),
        ({"batch_size": 1, "crop_size": 31.5}, "crop_size=31.5"),
        ({"batch_size": 1, "crop_size": (1, 2, 3)}, r"crop_size=\(1, 2, 3\)"),
        ({"batch_size": 1, "base_size": -5}, "base_size=-5"),
        ({"batch_size": 1, "max_class_share": 75}, "max_class_share=75"),
        ({"batch_size": 1, "scale": 1.0}, r"scale=1\.0"),
        ({"batch_size": 1, "scale": (0.5, float("nan"))}, "nan"),
        ({"batch_size": 1, "scale_step": -0.5}, r"scale_step=-0\.5"),
        ({"batch_size": 1, "scale": (2, 1)}, r"scale=\(2, 1\)"),
        ({"batch_size": 1, "scale": (0.5, 2), "scale_step": 0.4}, "scale_step=0.4"),
        ({"batch_size": 1, "start_step": -1}, "start_step=-1"),
        ({"batch_size": 3, "training": True, "shard": (0, 2)}, r"shard=\(0, 2\)"),
        ({"batch_size": 2, "training": True, "shard": (2, 2)}, r"shard=\(2, 2\)"),
        ({"batch_size": 2, "shard": (0, 2)}, "training=False"),
    ],
)
def test_bad_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.prepare(numbered(2), **arguments)


def test_wrong_elements_are_refused():
    floats = numbered(2).map(lambda image, label: (tf.cast(image, "float32"), label))
    with pytest.raises(ValueError, match="is empty"):
        data.prepare(numbered(2).take(0), 2, training=True)
    images = numbered(2).map(lambda image, label: image)
    for dataset in (floats, numbered(2).batch(2), images, [1, 2]):
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


def test_spec_knows_both_sides_or_neither():
    scenes = data.scenes(4, image_size=(48, 64))
    spec = data.prepare(scenes, 2, training=True).element_spec
    assert tuple(spec[0].shape) == (2, 48, 64, 3)
    assert tuple(spec[1].shape) == (2, 48, 64)
