"""How many query rows of the position attention are computed at once."""

import math

from keras import ops

# rows * sqrt(N) at the best block of each N, measured on CPUs with 32 MB of cache.
_ROWS_TIMES_ROOT = 2**15


def automatic_block_size(positions):
    """Query rows of a block for N positions, `2^15 / sqrt(N)`.

    1024 rows for N = 1024, so that small maps are one block; 512 for 4,096; 256 for
    16,384; 181 for 32,768. A block's scores then take 4, 8, 16 and 24 MB in float32:
    fewer rows make narrow and slow matrix products, more leave the caches, and above
    32 MB the C library gives a buffer fresh pages at every use.

    Args:
        positions: N, a positive int or, where it is known only when a graph runs, a
            scalar int32 tensor.

    Returns:
        An int, or a scalar int32 tensor.
    """
    if isinstance(positions, int):
        return max(1, _ROWS_TIMES_ROOT // math.isqrt(positions))
    rows = _ROWS_TIMES_ROOT / ops.sqrt(ops.cast(positions, "float32"))
    return ops.maximum(1, ops.cast(rows, "int32"))


def divide_into_blocks(positions, block_size):
    """How N query rows are divided: (number of blocks, rows of each block).

    Where N is known and has a divisor between half of `block_size` and all of it, the
    blocks are that large, and nothing is padded: what is padded is a copy of a map.
    Elsewhere the blocks are as even as can be, so that at most `blocks - 1` rows are
    padding.

    Args:
        positions: N, a positive int or a scalar int32 tensor.
        block_size: the most rows of a block, of the same kind.

    Returns:
        Two ints, or two scalar int32 tensors.
    """
    if isinstance(positions, int):
        fewest = max(1, min(block_size, positions) // 2)
        for rows in range(min(block_size, positions), fewest - 1, -1):
            if positions % rows == 0:
                return positions // rows, rows
    # Not -(-a // b): ONNX's division of integers rounds toward zero.
    blocks = (positions + block_size - 1) // block_size
    return blocks, (positions + blocks - 1) // blocks
