"""Print the peak memory in MB that position attention adds, as JSON.

python tests/attention_memory.py N
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_danet.layers.position_attention import position_attention
from tests.gradients import gradients


def compiled(function):
    """The function as a model would run it: with N unknown on TensorFlow."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        spec = tf.TensorSpec((1, None, 4))
        return tf.function(function, input_signature=[spec] * 3)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def resident(field):
    """Resident memory in MB: "VmRSS" now, "VmHWM" at its peak since `peak_of` began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(field)) / 1024


def peak_of(call):
    """Growth of the process's peak resident memory in MB over one call."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = resident("VmRSS")
    call()
    return resident("VmHWM") - before


def added(function, positions):
    """The same over one call of attention at N positions."""
    x = np.random.default_rng(0).normal(size=(1, positions, 4)).astype("float32")
    x = keras.ops.convert_to_tensor(x)
    return peak_of(lambda: keras.ops.convert_to_numpy(function(x, x, x)))


def main(positions):
    def attend(block_size):
        return compiled(lambda q, k, v: position_attention(q, k, v, block_size))

    blockwise, dense = attend("auto"), attend(None)

    def gradient(*inputs):
        return gradients(lambda *x: keras.ops.sum(blockwise(*x)), [], inputs)[0]

    for function in (blockwise, gradient):  # libraries and threads start here
        added(function, 2048)
    peaks = {
        "forward": added(blockwise, positions),
        "gradient": added(gradient, positions),
        "dense": added(dense, positions),
    }
    print(json.dumps(peaks))


if __name__ == "__main__":
    main(int(sys.argv[1]))
