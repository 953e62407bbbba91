"""A `tf.data.Dataset` whose examples can be had in any order."""

import atexit
import threading
import time

import tensorflow as tf

_lock = threading.Lock()
_running = {"reads": 0, "last_end": 0.0, "closing": False}


def indexed(count, read, size=(None, None)):
    """`count` examples in order, and on the result `example_at` for any one of them.

    `tf.data` cannot read its elements out of order through public and stable names.
    `prepare` shuffles and resumes by index where a data set carries `example_at`.

    Args:
        count: Number of examples.
        read: index -> (image uint8 (H, W, 3), label uint8 (H, W)), NumPy.
        size: (H, W) where all examples share it.

    Returns:
        `tf.data.Dataset` of `(image, label)` with the attribute
        `example_at(index tensor) -> (image, label)`.
    """

    def example_at(index):
        image, label = tf.numpy_function(_counted(read), (index,), (tf.uint8, tf.uint8))
        image.set_shape((*size, 3))
        label.set_shape(size)
        return image, label

    dataset = tf.data.Dataset.range(count).map(example_at, tf.data.AUTOTUNE)
    dataset.example_at = example_at
    return dataset


def _counted(read):
    """`read`, known to `_settle` while it runs."""

    def counted(index):
        with _lock:
            if _running["closing"]:
                raise RuntimeError("Python is shutting down; nothing is read any more.")
            _running["reads"] += 1
        try:
            return read(index)
        finally:
            with _lock:
                _running["reads"] -= 1
                _running["last_end"] = time.monotonic()

    return counted


@atexit.register
def _settle(quiet=0.3, patience=10.0):
    """Lets reads that a prefetching pipeline has under way end before Python does.

    TensorFlow waits for them when it takes the pipeline down, and they wait for Python,
    which by then runs no other thread: after Ctrl-C in `fit` the process would hang.
    """
    start = time.monotonic()
    _running["closing"] = True
    while time.monotonic() - start < patience:
        idle = time.monotonic() - max(_running["last_end"], start)
        if _running["reads"] == 0 and (_running["last_end"] == 0 or idle > quiet):
            return
        time.sleep(0.02)
