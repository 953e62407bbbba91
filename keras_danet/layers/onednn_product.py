"""Matrix products by oneDNN for PyTorch on the CPU.

PyTorch hands float32 products to MKL, which on AMD processors reaches a third of the
machine's speed; oneDNN, which PyTorch carries for its convolutions, reaches nearly all
of it. The operator has no public name, so it is probed, and where it is absent or
wrong the product is PyTorch's own.
"""

import functools


def product(first, second):
    """`first @ second` for 2D tensors, by oneDNN where that is there; no gradient."""
    onednn = _onednn()
    if onednn is None or not _suits(first) or not _suits(second):
        return first @ second
    return onednn(first, second)


def batch_product(first, second):
    """`first @ second` for (B, M, K) and (B, K, N), by oneDNN where that is there.

    Differentiable any number of times.
    """
    if _onednn() is None or not _suits(first) or not _suits(second):
        return first @ second
    return _batch_product().apply(first, second)


def _suits(tensor):
    fits = tensor.device.type == "cpu" and str(tensor.dtype) == "torch.float32"
    return fits and tensor.numel() > 0


@functools.cache
def _onednn():
    """A function of two float32 CPU matrices, or None."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return None
    try:
        operator = torch.ops.mkldnn._linear_pointwise

        def onednn(first, second):
            return operator(first, second.t(), None, "none", [], "")

        probe = torch.arange(6.0).reshape(2, 3)
        right = torch.equal(onednn(probe, probe.t()), probe @ probe.t())
    except (AttributeError, RuntimeError, TypeError):
        return None
    return onednn if right else None


@functools.cache
def _batch_product():
    import torch

    def multiply(first, second):
        pairs = zip(first, second, strict=True)
        products = [product(*pair) for pair in pairs]
        return products[0][None] if len(products) == 1 else torch.stack(products)

    class BatchProduct(torch.autograd.Function):
        @staticmethod
        def forward(ctx, first, second):
            ctx.save_for_backward(first, second)
            return multiply(first, second)

        @staticmethod
        def backward(ctx, upstream):
            first, second = ctx.saved_tensors
            # Differentiable in turn, for gradients of gradients.
            return (
                batch_product(upstream, second.mT),
                batch_product(first.mT, upstream),
            )

    return BatchProduct
