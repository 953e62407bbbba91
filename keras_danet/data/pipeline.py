"""From examples to batches, for training and for evaluation."""

import tensorflow as tf

from keras_danet.data.arguments import (
    check_evaluation,
    check_examples,
    check_numbers,
    check_scale,
    check_shard,
    check_share,
    crop_sides,
)
from keras_danet.data.augmentation import augment
from keras_danet.data.stream import shuffled


def prepare(
    dataset,
    batch_size,
    crop_size=None,
    training=False,
    *,
    seed=0,
    start_step=0,
    scale=(0.5, 2.0),
    scale_step=None,
    base_size=None,
    flip=True,
    max_class_share=None,
    photometric_distortion=False,
    shuffle_buffer=256,
    shard=(0, 1),
):
    """Batches of a data set: shuffled and augmented to train, as they are to evaluate.

    Training batches repeat without end, so `fit` needs `steps_per_epoch`. Batch number
    `step` is a pure function of `(seed, step)`: order, scale, crop and flip come out
    the same in every run, and `start_step` continues the same stream after a stop.

    The data sets of this module (`from_folder`, `camvid`, `scenes`, ...) are shuffled
    over their whole length and start anywhere at once. Others, and what
    `take`, `filter`, `map` make of these, are shuffled within `shuffle_buffer`
    examples, and `start_step` reads up to one pass to find its place.

    Args:
        dataset: `tf.data.Dataset` of `(image uint8 (H, W, 3), label uint8 (H, W))`.
        batch_size: Examples in a batch, over all replicas and processes.
        crop_size: Pixels of the training crop, one number or (height, width);
            `None`: each image's own size.
        training: Shuffle, augment, repeat and drop the remainder; otherwise whole
            images in order, and `batch_size` above 1 needs images of one size.
        seed: Non-negative int.
        start_step: Number of the first batch.
        scale: (low, high) of the random factor; `(1, 1)` switches it off.
        scale_step: Draw among low, low + step, ..., high, as both papers do; `None`
            draws anywhere between.
        base_size: Short side in pixels at factor 1; `None`: the image as it is.
        flip: Mirror every second image.
        max_class_share: Largest share one class may have of a crop, e.g. 0.75; drawn
            again up to 10 times.
        photometric_distortion: Change brightness, contrast, saturation and hue.
        shuffle_buffer: Examples held to shuffle a data set that is read in order.
        shard: (index, count) of this process among those that train together, one to
            a host; its batches are its part of the global ones, `batch_size / count`
            examples. The parts together are what one process would see.

    Returns:
        `tf.data.Dataset` of `(images uint8 (B, h, w, 3) in [0, 255], labels uint8
        (B, h, w))`. Padding is the ImageNet mean in images and 255 in labels.

    Raises:
        ValueError: An argument is out of range, or is for training and `training` is
            not set. While iterating, `InvalidArgumentError` if images of different
            sizes meet in one batch.

    Example:
        >>> scenes = keras_danet.data.scenes(100)
        >>> train = keras_danet.data.prepare(scenes, 8, crop_size=96, training=True)
        >>> model.fit(train, steps_per_epoch=100 // 8, epochs=10)
    """
    check_examples(dataset)
    check_numbers(batch_size, start_step, shuffle_buffer, seed)
    check_scale(scale, scale_step, base_size)
    check_share(max_class_share)
    check_shard(shard, batch_size)
    crop_size = crop_sides(crop_size)
    if not training:
        check_evaluation(
            crop_size=crop_size,
            start_step=start_step,
            scale_step=scale_step,
            base_size=base_size,
            max_class_share=max_class_share,
            photometric_distortion=photometric_distortion,
            shard=shard if shard[1] > 1 else None,
        )
        return _one_size(dataset, batch_size).batch(batch_size).prefetch(2)
    key = tf.constant([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], tf.int32)

    def example(number, image, label):
        return augment(
            image,
            label,
            tf.random.fold_in(key, number),
            crop_size,
            scale,
            scale_step,
            base_size,
            flip,
            max_class_share,
            photometric_distortion,
        )

    index, count = shard
    part = batch_size // count
    start = start_step * batch_size

    def mine(number):
        return number % batch_size // part == index

    stream = shuffled(dataset, key, start, shuffle_buffer, mine, example)
    stream = _one_size(stream, part if crop_size is None else 1)
    batches = stream.batch(part, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return batches.apply(endless)


def _one_size(dataset, batch_size):
    """Stops with a clear error where images of different sizes meet in one batch."""
    if batch_size == 1:
        return dataset

    def compare(first, example):
        size = tf.shape(example[1])
        first = tf.where(first < 0, size, first)
        tf.debugging.assert_equal(
            size,
            first,
            message="Images of different sizes cannot share a batch. Pass a crop_size "
            "to train, batch_size=1 to evaluate. Received: sizes (height, width)",
            summarize=2,
        )
        return first, example

    return dataset.scan(tf.constant([-1, -1]), compare)
