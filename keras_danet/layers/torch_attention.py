"""Position attention in linear memory on PyTorch: by blocks, or by the GPU's kernel.

The algorithm is that of `blockwise_attention`. PyTorch runs eagerly, so the blocks are
a plain loop, the last one is simply shorter, and results are written in place.
"""

import functools

from keras import ops

from keras_danet.layers.block_size import automatic_block_size
from keras_danet.layers.feature_map import at_least_float32
from keras_danet.layers.onednn_product import product

# A buffer of more than 32 MB is given fresh pages by the C library at every use, which
# costs more than the arithmetic on it: all stay at 16 MB (2^22 float32) or below.
_LARGEST_BUFFER = 2**22


def torch_attention(query, key, value, block_size="auto"):
    """`softmax(query key^T) value` without its N x N matrix, on PyTorch.

    On the CPU the products go through oneDNN where it is there. On CUDA, with "auto",
    the memory-efficient kernel of `scaled_dot_product_attention` with scale 1 is taken
    where it accepts the tensors (not run: no GPU was at hand); there the products take
    the tensors' dtype, accumulators and softmax float32. Everything else runs by blocks
    with PyTorch's own products.

    Args:
        query: (B, N, d) float tensor.
        key: (B, N, d) tensor of the same dtype.
        value: (B, N, C) tensor of the same dtype.
        block_size: the most query rows of a block, or "auto".

    Returns:
        (B, N, C) tensor, differentiable once: of the same dtype from the kernel, else
        float32 (float64 when given float64).
    """
    if block_size == "auto":
        if _memory_efficient_kernel_accepts(query, key, value):
            return _memory_efficient_kernel(query, key, value)
        block_size = automatic_block_size(query.shape[1])
    dtype = at_least_float32(query.dtype)
    arrays = (ops.cast(array, dtype) for array in (query, key, value))
    return _blockwise().apply(*arrays, block_size)


def _memory_efficient_kernel_accepts(query, key, value):
    if query.device.type != "cuda":
        return False
    from torch.backends.cuda import SDPAParams, can_use_efficient_attention

    heads = (array.unsqueeze(1) for array in (query, key, value))
    return can_use_efficient_attention(SDPAParams(*heads, None, 0.0, False, False))


def _memory_efficient_kernel(query, key, value):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    heads = (array.unsqueeze(1) for array in (query, key, value))  # (B, 1, N, .)
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):
        return scaled_dot_product_attention(*heads, scale=1.0).squeeze(1)


@functools.cache
def _blockwise():
    import torch

    class Blockwise(torch.autograd.Function):
        @staticmethod
        def forward(ctx, query, key, value, rows):
            output = torch.empty_like(value, memory_format=torch.contiguous_format)
            for image in zip(query, key, value, output, strict=True):
                _attend(*image, rows)
            ctx.save_for_backward(query, key, value, output)
            ctx.rows = rows
            return output

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, upstream):
            if not len(upstream):
                return *map(torch.zeros_like, ctx.saved_tensors[:3]), None
            images = zip(*ctx.saved_tensors, upstream, strict=True)
            gradients = [_gradient(*image, ctx.rows) for image in images]
            return *map(_stack, zip(*gradients, strict=True)), None

    return Blockwise


def _stack(images):
    import torch

    return images[0][None] if len(images) == 1 else torch.stack(images)


def _attend(query, key, value, output, rows):
    """Write one image's (N, C) attended values into `output`."""
    for start in range(0, len(query), rows):
        block = slice(start, start + rows)
        output[block] = product(_scores(query[block], key), value)


def _scores(query, key):
    import torch

    return torch.softmax(product(query, key.t()), dim=-1)  # (rows, N)


def _gradient(query, key, value, output, upstream, rows):
    """Gradients of one image by query (N, d), key (N, d) and value (N, C)."""
    import torch

    d_query = torch.empty_like(query)
    d_key = key.new_zeros(key.t().shape)  # (d, N)
    d_value = value.new_zeros(value.t().shape)  # (C, N)
    for start in range(0, len(query), rows):
        block = slice(start, start + rows)
        q, do = query[block], upstream[block]
        scores = _scores(q, key)
        _add_product(d_value, do.t().contiguous(), scores)
        d_scores = product(do, value.t())  # (rows, N)
        d_scores.sub_((do * output[block]).sum(-1, keepdim=True)).mul_(scores)
        _add_product(d_key, q.t().contiguous(), d_scores)
        d_query[block] = product(d_scores, key)
        del scores, d_scores  # or the next block's would come on top
    return d_query, d_key.t(), d_value.t()


def _add_product(total, first, second):
    """`total += first @ second`, in strips that keep the product's buffer small."""
    strip = max(1, _LARGEST_BUFFER // second.shape[1])
    for start in range(0, len(total), strip):
        rows = slice(start, start + strip)
        total[rows] += product(first[rows], second)
