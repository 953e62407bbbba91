"""Loops that run one step at a time, so that one step's memory is all they take.

TensorFlow's own loops start up to ten steps before the first has ended, and
`keras.ops.map` computes the first step twice when it runs eagerly.
"""

import keras
from keras import ops


def map_range(function, count, dtype):
    """`[function(0), ..., function(count - 1)]`, stacked on a new first axis.

    Args:
        function: takes a scalar int tensor, gives a tensor of one shape and `dtype`.
        count: int or scalar int tensor.
        dtype: the result's dtype.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.map(function, ops.arange(count))
    import tensorflow as tf

    return tf.map_fn(
        function, tf.range(count), fn_output_signature=dtype, parallel_iterations=1
    )


def fold_range(function, count, state):
    """`state = function(index, state)` for each index below `count`.

    Args:
        function: takes a scalar int tensor and the state, gives the next state.
        count: int or scalar int tensor.
        state: tuple of tensors, whose shapes and dtypes stay.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.fori_loop(0, count, function, state)
    import tensorflow as tf

    return tf.while_loop(
        lambda index, *state: index < count,
        lambda index, *state: (index + 1, *function(index, state)),
        (0, *state),
        parallel_iterations=1,
    )[1:]
