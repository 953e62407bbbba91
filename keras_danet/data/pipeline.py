"""From examples to batches, for training and for evaluation."""

import tensorflow as tf

from keras_danet.data.augmentation import augment


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
        batch_size: Examples in a batch (over all replicas).
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

    Returns:
        `tf.data.Dataset` of `(images uint8 (B, h, w, 3) in [0, 255], labels uint8
        (B, h, w))`. Padding is the ImageNet mean in images and 255 in labels.

    Raises:
        ValueError: An argument is out of range, or `crop_size` without `training`.
            While iterating, `InvalidArgumentError` if images of different sizes meet
            in one batch.

    Example:
        >>> scenes = keras_danet.data.scenes(100)
        >>> train = keras_danet.data.prepare(scenes, 8, crop_size=96, training=True)
        >>> model.fit(train, steps_per_epoch=100 // 8, epochs=10)
    """
    _check_examples(dataset.element_spec)
    _check_numbers(batch_size, crop_size, training, start_step, scale, scale_step)
    if not training:
        return _one_size(dataset, batch_size).batch(batch_size).prefetch(2)
    crop_size = (crop_size,) * 2 if isinstance(crop_size, int) else crop_size
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

    start = start_step * batch_size
    stream = _shuffled(dataset, key, start, shuffle_buffer, example)
    stream = _one_size(stream, batch_size if crop_size is None else 1)
    return stream.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _shuffled(dataset, key, start, shuffle_buffer, function):
    """The endless shuffled stream of `function(number, image, label)`."""
    example_at = getattr(dataset, "example_at", None)
    if example_at is not None:
        count = len(dataset)
        stream = tf.data.Dataset.counter(start)

        def example(number):
            return function(number, *example_at(_place(number, count, key)))
    else:
        stream = _read_on(dataset, key, start, shuffle_buffer).enumerate(start)

        def example(number, pair):
            return function(number, *pair)

    return stream.map(example, tf.data.AUTOTUNE, deterministic=True)


def _place(number, count, key):
    """Where example `number` of the stream stands in the data set."""
    epoch_key = _epoch_key(key, number // count)
    return tf.random.experimental.index_shuffle(number % count, epoch_key, count - 1)


def _epoch_key(key, epoch):
    return tf.random.fold_in(key, -1 - epoch)  # numbers of examples are never negative


def _read_on(dataset, key, start, shuffle_buffer):
    """The stream of a data set that can only be read from its beginning."""
    count = dataset.cardinality().numpy()
    first_epoch, skipped = divmod(start, count) if count > 0 else (0, start)

    def epoch_of(epoch):
        # Of the graph that is being traced here, so that the order depends on the key
        # alone and not on the program's global seed.
        tf.random.set_seed(1)
        seed = tf.random.stateless_uniform(
            (), _epoch_key(key, epoch), 1, 2**31 - 1, tf.int64
        )
        return dataset.shuffle(shuffle_buffer, seed, reshuffle_each_iteration=False)

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(epoch_of).skip(skipped)


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


def _check_examples(spec):
    example = (
        tf.TensorSpec((None, None, 3), tf.uint8),
        tf.TensorSpec((None, None), tf.uint8),
    )
    pair = isinstance(spec, tuple) and len(spec) == 2
    if not (pair and all(map(tf.TensorSpec.is_compatible_with, example, spec))):
        raise ValueError(
            "`dataset` must give single examples (image uint8 (H, W, 3), label uint8 "
            "(H, W)). Cast or squeeze with dataset.map(...), undo batches with "
            f"dataset.unbatch(). Received: {spec}"
        )


def _check_numbers(batch_size, crop_size, training, start_step, scale, scale_step):
    if batch_size < 1 or start_step < 0:
        raise ValueError(
            "`batch_size` must be at least 1 and `start_step` at least 0. "
            f"Received: batch_size={batch_size}, start_step={start_step}"
        )
    if crop_size is not None and not training:
        raise ValueError(
            "`crop_size` is for training; images are evaluated whole. Leave it out, or "
            f"pass training=True. Received: crop_size={crop_size}, training=False"
        )
    low, high = scale
    steps = (high - low) / scale_step if scale_step else 0
    if not 0 < low <= high or abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            "`scale` must be (low, high) with 0 < low <= high, a whole number of "
            f"`scale_step` apart. Received: scale={scale}, scale_step={scale_step}"
        )
