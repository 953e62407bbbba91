"""How many batches an epoch has, where Keras would run on without end."""


def check_steps(name, steps, data):
    """Raises a ValueError for an epoch that would not end.

    Args:
        name: str, what the argument is called, such as "steps_per_epoch".
        steps: int or None, the argument.
        data: what is run through: arrays, a data set, a generator.
    """
    if steps is None and _is_endless(data):
        raise ValueError(
            "The data set repeats without end, as `data.prepare(training=True)` does, "
            f"so its length must be said: pass `{name}`, such as "
            f"`len(dataset) // batch_size`. Received: {name}=None"
        )
    # Keras takes 0 for "not known".
    if steps is not None and steps < 1:
        raise ValueError(
            f"`{name}` is at least 1; `len(dataset) // batch_size` is 0 where a batch "
            "is larger than the data set. Lower the batch size. "
            f"Received: {name}={steps}"
        )


def _is_endless(data):
    """Whether it is a `tf.data.Dataset` of known infinite length."""
    if not hasattr(data, "cardinality"):
        return False
    import tensorflow as tf

    return int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
