"""Position attention: every position gathers the values of all positions alike it."""

from keras import ops

from keras_danet.layers.feature_map import at_least_float32


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
    energy = ops.matmul(query, ops.transpose(key, (0, 2, 1)))  # (B, M, N)
    return ops.softmax(energy, axis=-1)


def position_attention(query, key, value, block_size="auto"):
    """The values of all positions, weighted by their likeness to each position.

    `output[b, i] = sum_j softmax_j(query[b, i] · key[b, j]) value[b, j]`

    Args:
        query: (B, N, d) float tensor.
        key: (B, N, d) float tensor.
        value: (B, N, C) float tensor.
        block_size: "auto", None or a positive int.

    Returns:
        (B, N, C) tensor of the dtype of `value`.

    Reference: Fu et al., CVPR 2019, equations 1 and 2.
    """
    scores = position_attention_scores(query, key)
    output = ops.matmul(scores, ops.cast(value, scores.dtype))  # (B, N, C)
    return ops.cast(output, value.dtype)
