"""A scan that runs one step at a time, so that one step's memory is all it takes."""

import keras
from keras import ops


def scan_range(function, count, state, output):
    """Run `state, output = function(index, state)` for each index below `count`.

    As `keras.ops.scan`, which fails on TensorFlow where state and output differ in
    shape. TensorFlow's loops by themselves start up to ten steps before the first has
    ended; this one does not.

    Args:
        function: takes a scalar int tensor and the state; gives the next state and an
            output, both of shapes that stay the same.
        count: int or scalar int tensor.
        state: tuple of tensors, possibly empty.
        output: `keras.KerasTensor`, the shape (None where unknown) and dtype of one
            output.

    Returns:
        The last state, and all outputs stacked on a new first axis.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.scan(
            lambda state, index: function(index, state), state, ops.arange(count)
        )
    import tensorflow as tf

    def step(index, outputs, *state):
        state, output = function(index, state)
        return index + 1, outputs.write(index, output), *state

    outputs = tf.TensorArray(output.dtype, count, element_shape=output.shape)
    _, outputs, *state = tf.while_loop(
        lambda index, *_: index < count,
        step,
        (0, outputs, *state),
        parallel_iterations=1,
    )
    return tuple(state), outputs.stack()
