"""How many replicas train together, sums across them, and what one does alone."""

import contextlib

import keras


def replica_count():
    """Replicas of the active `tf.distribute` strategy; 1 on JAX and PyTorch.

    JAX's `keras.distribution.DataParallel` is one program over all devices, so its
    batch statistics and sums are global without help and one replica is the truth.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_across_replicas(value):
    """`value` summed over the replicas of a `tf.distribute` strategy.

    Outside a replica context (one device, a cross-replica context, JAX, PyTorch) it
    is `value` itself.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def is_first_process():
    """Whether this process is the one that writes; on JAX there may be several."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    return jax.process_index() == 0


@contextlib.contextmanager
def alone():
    """A context in which this process saves or loads a model without the others.

    Keras makes variables on the way, and JAX lays out a variable of a distribution in
    all processes together: one that saves alone would wait for the others forever.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def refuse_workers(model):
    """Raises a ValueError for a model made under `MultiWorkerMirroredStrategy`.

    Keras 3's `fit` fails there with errors about PerReplica values.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError(
            "Keras 3 cannot `fit` under tf.distribute.MultiWorkerMirroredStrategy. For "
            "several machines use the JAX backend: call "
            "`keras.distribution.initialize(...)` in each process, then "
            "`keras.distribution.set_distribution(keras.distribution.DataParallel("
            "auto_shard_dataset=False))`, and give each its `shard` of the batches by "
            "`keras_danet.data.prepare`. For several GPUs of one machine use "
            "tf.distribute.MirroredStrategy. Received: model made under "
            f"{type(model.distribute_strategy).__name__}"
        )
