"""From pixel terms to one number: sample weights, counts, one loss for all replicas."""

from keras import ops

from keras_danet.replicas import replica_count, sum_across_replicas


def pixel_weights(sample_weight):
    """Sample weights shaped to multiply pixel terms (B, H, W).

    Args:
        sample_weight: scalar; (B,) or (B, 1), one weight an image; (B, 1, 1) or
            (B, H, W); (B, 1, 1, 1) or (B, H, W, 1).

    Returns:
        A float32 tensor of shape (), (B, 1, 1) or (B, H, W).

    Raises:
        ValueError: for any other rank.
    """
    weight = ops.cast(sample_weight, "float32")
    shape = _known_rank(weight)
    if len(shape) in (0, 3):
        return weight
    if len(shape) == 1:
        return weight[:, None, None]
    if len(shape) == 2 and shape[1] == 1:
        return weight[:, :, None]
    if len(shape) == 4 and shape[-1] == 1:
        return ops.squeeze(weight, axis=-1)
    raise ValueError(
        "The sample weights do not fit a label map. Expected shape (batch,), one "
        "weight an image, or (batch, height, width), one weight a pixel. "
        f"Received: sample_weight.shape={shape}"
    )


def _known_rank(weight):
    """The shape as a tuple; TensorFlow forgets the rank where calls differed in it."""
    if getattr(weight.shape, "rank", 0) is None:
        raise ValueError(
            "The sample weights of this compiled model came in several ranks, so that "
            "TensorFlow traced them without one. Give them all as (batch, height, "
            "width), or call `compile` between. Received: an unknown rank"
        )
    return tuple(weight.shape)


def image_weights(sample_weight):
    """Sample weights (), (B,), (B, 1), (B, 1, 1) or (B, 1, 1, 1) as () or (B,)."""
    weight = ops.cast(sample_weight, "float32")
    shape = _known_rank(weight)
    if any(size != 1 for size in shape[1:]):
        raise ValueError(
            "This loss is not a sum over pixels, so it takes one weight an image. "
            f"Expected shape (batch,). Received: sample_weight.shape={shape}"
        )
    return ops.reshape(weight, (-1,)) if shape else weight


def refuse_sample_weight(sample_weight, loss_name):
    """Raise a ValueError unless there are no sample weights."""
    if sample_weight is not None:
        raise ValueError(
            f"{loss_name} is one ratio over the whole batch and cannot weigh pixels or "
            "images. Give the pixels that must not count the ignored class, or use "
            "CrossEntropy, which takes sample weights. Received: sample_weight of "
            f"shape {tuple(getattr(sample_weight, 'shape', ()))}"
        )


def count_pixels(mask):
    """Number of True in `mask` as float32, over all replicas.

    Counted in integers: a float32 sum of ones may stop growing at 2**24.
    """
    count = ops.sum(ops.cast(mask, "int32"))
    return sum_across_replicas(ops.cast(count, "float32"))


def divide_or_zero(total, count):
    """`total / count`, and `total` itself (a sum of nothing) where `count` is 0.

    Not `divide_no_nan`: it would turn the NaN of an unknown label into 0.
    """
    return total / ops.where(count > 0, count, ops.ones_like(count))


def replicas_here():
    """Replicas that `sum_across_replicas` adds, float32; 1 outside their context."""
    return sum_across_replicas(ops.ones((), "float32"))


def share_of_replicas(loss):
    """The replica's `loss` with its own gradient and the value (sum over replicas) / N.

    Keras adds the replicas' gradients and reports N times the value, averaged over the
    replicas by their batch sizes. So the gradients must be those of the replicas' parts
    of one global loss, and the value must be the same everywhere for the report to be
    right when the last batch is split unevenly. With one replica it is `loss` itself.
    """
    if replica_count() == 1:
        return loss
    total = sum_across_replicas(ops.stop_gradient(loss))
    return total / replicas_here() + (loss - ops.stop_gradient(loss))
