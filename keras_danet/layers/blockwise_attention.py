"""Position attention by blocks of query rows: exact, in memory linear in N.

A block of queries meets all keys at once, so that each softmax sees its whole row and
no running maximum is needed. The gradient computes a block's scores anew instead of
keeping them:

    forward    p_i = softmax(q_i k^T)             o_i = p_i v
    backward   dv += p_i^T do_i                   delta_i = rowsum(do_i * o_i)
               ds_i = p_i * (do_i v^T - delta_i)
               dk += ds_i^T q_i                   dq_i = ds_i k

Measured against the dense form in examples/benchmarks/attention.py.
"""

import keras
from keras import ops

from keras_danet.layers.block_size import automatic_block_size, divide_into_blocks
from keras_danet.layers.feature_map import at_least_float32
from keras_danet.layers.sequential_scan import scan_range


def blockwise_attention(query, key, value, block_size="auto"):
    """`softmax(query key^T) value` without its N x N matrix, on TensorFlow and JAX.

    Runs under `tf.function` (N known or not), XLA and `jax.jit`. Query rows beyond the
    last whole block are zeros and are cut off again.

    Args:
        query: (B, N, d) float tensor.
        key: (B, N, d) float tensor.
        value: (B, N, C) float tensor.
        block_size: the most query rows of a block, or "auto": from N, which may be
            known only when the graph runs.

    Returns:
        (B, N, C) float32 tensor (float64 when given float64).
    """
    dtype = at_least_float32(query.dtype)
    query, key, value = (ops.cast(array, dtype) for array in (query, key, value))
    positions = ops.shape(query)[1]
    if block_size == "auto":
        block_size = automatic_block_size(positions)
    blocks, rows = divide_into_blocks(positions, block_size)

    @ops.custom_gradient
    def attend(query, key, value):
        output = _attend(query, key, value, blocks, rows)

        def gradient(upstream):
            return _gradient(query, key, value, output, upstream, blocks, rows)

        return output, gradient

    return attend(query, key, value)


def _scores(query, key):
    return ops.softmax(ops.einsum("bid,bjd->bij", query, key), axis=-1)


def _attend(query, key, value, blocks, rows):
    positions = ops.shape(query)[1]
    query = _pad(query, positions, blocks, rows)

    def block(index, state):
        scores = _scores(_block(query, index, rows), key)  # (B, rows, N)
        return state, ops.einsum("bij,bjc->bic", scores, value)  # (B, rows, C)

    _, output = scan_range(block, blocks, (), _any_rows_of(value))
    return _join(output, positions)


def _gradient(query, key, value, output, upstream, blocks, rows):
    positions = ops.shape(query)[1]
    delta = ops.sum(upstream * output, axis=-1, keepdims=True)  # (B, N, 1)
    query, upstream, delta = (
        _pad(array, positions, blocks, rows) for array in (query, upstream, delta)
    )

    def block(index, gradients):
        d_key, d_value = gradients
        q, do = _block(query, index, rows), _block(upstream, index, rows)
        scores = _scores(q, key)  # (B, rows, N)
        d_scores = ops.einsum("bic,bjc->bij", do, value) - _block(delta, index, rows)
        d_scores = scores * d_scores
        # Channels first: of the two factors the narrow one is transposed, because XLA
        # copies what it transposes.
        d_value = d_value + ops.matmul(_transpose(do), scores)  # (B, C, N)
        d_key = d_key + ops.matmul(_transpose(q), d_scores)  # (B, d, N)
        return (d_key, d_value), ops.matmul(d_scores, key)  # (B, rows, d)

    zeros = ops.zeros_like(_transpose(key)), ops.zeros_like(_transpose(value))
    gradients, d_query = scan_range(block, blocks, zeros, _any_rows_of(key))
    return _join(d_query, positions), *map(_transpose, gradients)


def _any_rows_of(array):
    return keras.KerasTensor((None, None, array.shape[-1]), dtype=array.dtype)


def _join(stacked, positions):
    """(blocks, B, rows, C) -> (B, N, C), without the padded rows."""
    blocks, batch, rows, channels = ops.shape(stacked)
    stacked = ops.transpose(stacked, (1, 0, 2, 3))
    return ops.reshape(stacked, (batch, blocks * rows, channels))[:, :positions]


def _pad(array, positions, blocks, rows):
    padding = blocks * rows - positions
    if isinstance(padding, int) and padding == 0:
        return array
    return ops.pad(array, [[0, 0], [0, padding], [0, 0]])


def _block(array, index, rows):
    batch, _, channels = ops.shape(array)
    return ops.slice(array, (0, index * rows, 0), (batch, rows, channels))


def _transpose(array):
    return ops.transpose(array, (0, 2, 1))
