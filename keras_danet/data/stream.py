"""The endless shuffled stream of examples: its order is a function of seed and number.

Epoch e of a data set of N examples is the numbers e N to e N + N - 1, each with a
permutation of its own.
"""

import tensorflow as tf


def shuffled(dataset, key, start, shuffle_buffer, mine, function):
    """Every example `number` that is `mine`, as `function(number, image, label)`.

    Args:
        dataset: `tf.data.Dataset` of `(image, label)`.
        key: int32 (2,): what the order depends on.
        start: Number of the first example.
        shuffle_buffer: Examples held where `dataset` must be read in order.
        mine: number -> bool.
        function: What becomes of an example.

    Returns:
        An endless `tf.data.Dataset`.
    """
    example_at = getattr(dataset, "example_at", None)
    if example_at is not None:
        count = len(dataset)
        stream = tf.data.Dataset.counter(start).filter(mine)

        def example(number):
            return function(number, *example_at(place(number, count, key)))
    else:
        stream = _read_on(dataset, key, start, shuffle_buffer).enumerate(start)
        stream = stream.filter(lambda number, pair: mine(number))

        def example(number, pair):
            return function(number, *pair)

    return stream.map(example, tf.data.AUTOTUNE, deterministic=True)


def place(number, count, key):
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
