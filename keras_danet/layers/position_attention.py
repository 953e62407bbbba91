"""Position attention: every position gathers the values of all positions alike it."""

import keras
from keras import ops

from keras_danet.layers.block_size import automatic_block_size
from keras_danet.layers.blockwise_attention import blockwise_attention
from keras_danet.layers.feature_map import at_least_float32
from keras_danet.layers.torch_attention import torch_attention

# Up to so many positions the dense form is as fast as any, in 4 MB or less.
_DENSE_POSITIONS = {"tensorflow": 1024, "jax": 1024, "torch": 256}


def position_attention_scores(query, key):
    """Softmax over the keys of `query · key`, the position attention map.

    `scores[b, i, j] = softmax_j(query[b, i] · key[b, j])`, with no `1 / sqrt(d)`. Both
    the products and the softmax are taken in float32 (float64 when given float64),
    because unscaled energies overflow float16 and lose their digits in bfloat16.

    Args:
        query: (B, M, d) float tensor, the positions that look.
        key: (B, N, d) float tensor, the positions looked at.

    Returns:
        (B, M, N) float32 tensor; each row is in [0, 1] and sums to one.

    Example:

    >>> query = keras.random.normal((1, 12, 8))
    >>> position_attention_scores(query, query).shape
    (1, 12, 12)

    Reference: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019,
    equation 1.
    """
    dtype = at_least_float32(query.dtype)
    query, key = ops.cast(query, dtype), ops.cast(key, dtype)
    return ops.softmax(ops.einsum("bid,bjd->bij", query, key), axis=-1)


def position_attention(query, key, value, block_size="auto"):
    """The values of all positions, weighted by their likeness to each position.

    `output[b, i] = sum_j softmax_j(query[b, i] · key[b, j]) value[b, j]`

    Every `block_size` gives the same numbers up to rounding, value and gradient. What
    differs is the N x N matrix of scores: 4.3 GB in float32 for the N = 32,768
    positions of a 1024 x 2048 image at output stride 8, and more than twice that in
    training. By blocks it never exists, forward or backward, and memory is linear in N.

    Args:
        query: (B, N, d) float tensor.
        key: (B, N, d) float tensor.
        value: (B, N, C) float tensor.
        block_size: how many rows of the matrix are computed at once. "auto": all of
            them up to N = 1024 (256 on PyTorch), else as many as suit N; where N is
            unknown when the graph is traced, that is decided when it runs. None: the
            dense form, for runtimes that cannot take the loop (LiteRT) and for
            gradients of gradients on PyTorch, which by blocks would be wrong without
            an error. An int: at most so many rows.

    Returns:
        (B, N, C) tensor of the dtype of `value`; the scores and sums are float32
        (float64 when given float64).

    Example:

    >>> query = keras.random.normal((1, 4096, 8))
    >>> value = keras.random.normal((1, 4096, 64))
    >>> position_attention(query, query, value).shape
    (1, 4096, 64)

    Reference: Fu et al., CVPR 2019, equations 1 and 2. Rabe and Staats,
    "Self-attention Does Not Need O(n^2) Memory", 2021.
    """
    attend = _form(query.shape[1], block_size)
    return ops.cast(attend(query, key, value), value.dtype)


def rows_at_once(positions, block_size="auto"):
    """How many of the N rows of scores `position_attention` holds at a time.

    Args:
        positions: int N.
        block_size: as in `position_attention`.

    Returns:
        An int; on a GPU, where a kernel keeps scores in its registers, an upper bound.
    """
    if _is_dense(positions, block_size):
        return positions
    if block_size == "auto":
        block_size = automatic_block_size(positions)
    return min(block_size, positions)


def _form(positions, block_size):
    """The function of (query, key, value) that suits N, None where unknown."""
    if _is_dense(positions, block_size):
        return _dense_attention
    on_torch = keras.backend.backend() == "torch"
    attend = torch_attention if on_torch else blockwise_attention
    return lambda query, key, value: attend(query, key, value, block_size)


def _is_dense(positions, block_size):
    if block_size != "auto":
        return block_size is None
    return positions is not None and (
        positions <= _DENSE_POSITIONS[keras.backend.backend()]
    )


def _dense_attention(query, key, value):
    scores = position_attention_scores(query, key)
    return ops.einsum("bij,bjc->bic", scores, ops.cast(value, scores.dtype))
