"""Trains the same global batches on one device and on several, and saves the weights.

`python -m tests.replicas_run CASE REPLICAS FOLDER SEED` on TensorFlow
(MirroredStrategy) or JAX (DataParallel), on CPU devices. With REPLICAS 1 the second
training is on one device too, each batch in reverse: the same sums in another order,
the yardstick of what float32 lets two equal trainings differ by. Two MirroredStrategies
in one process collide, hence a script. `... process CASE INDEX COUNT PORT FOLDER
EPOCHS` is one of several JAX processes.
"""

import contextlib
import os
import sys

import numpy as np

STEPS = 5
BATCH = 4
SIZE = (40, 48)


def make_devices(count):
    """`count` CPU devices, before the backend has looked for any."""
    if os.environ["KERAS_BACKEND"] == "jax":
        flag = f"--xla_force_host_platform_device_count={count}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
        return
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, logical)


def global_batches():
    """Labels with ever fewer labelled pixels from image to image, the last with none.

    Of two replicas the second sees hardly any; of four the last sees none at all. In
    the third batch the whole second half has none.
    """
    from tests.cases import images_and_labels

    images, labels = images_and_labels(STEPS * BATCH, *SIZE)
    for index, label in enumerate(labels):
        label[: SIZE[0] * (index % BATCH) // (BATCH - 1)] = 255
    labels[2 * BATCH + BATCH // 2 : 3 * BATCH] = 255
    return images, labels


def build(name, num_classes, seed=0):
    import keras

    import keras_danet
    from tests.cases import CASES

    keras.utils.set_random_seed(seed)
    no_dropout = {"dropout": 0.0} if name.startswith("danet") else {}
    case = CASES[name]
    model = case.builder(num_classes, case.backbone(), **case.arguments, **no_dropout)
    model.compile(keras_danet.SGD(0.001, head_multiplier=10.0))
    return model


@contextlib.contextmanager
def replicas(count):
    """The backend's own way to train on `count` devices."""
    import keras

    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        yield
        return
    import tensorflow as tf

    names = [f"CPU:{index}" for index in range(count)]
    with tf.distribute.MirroredStrategy(names).scope():
        yield


def save_weights(model, path, **logs):
    arrays = {v.path: np.asarray(v) for v in model.weights}
    np.savez(path, **arrays, **logs)


def train(model, images, labels, path):
    logs = model.fit(images, labels, batch_size=BATCH, shuffle=False, verbose=0).history
    save_weights(model, path, **logs)


def reversed_batches(array):
    batches = array.reshape(STEPS, BATCH, *array.shape[1:])
    return batches[:, ::-1].reshape(array.shape)


def one_and_many(name, count, folder, seed):
    import keras

    from tests.cases import NUM_CLASSES

    images, labels = global_batches()
    train(build(name, NUM_CLASSES, seed), images, labels, f"{folder}/one.npz")
    if count == 1:
        pair = reversed_batches(images), reversed_batches(labels)
        train(build(name, NUM_CLASSES, seed), *pair, f"{folder}/many.npz")
        return
    with replicas(count):
        model = build(name, NUM_CLASSES, seed)
    train(model, images, labels, f"{folder}/many.npz")
    model.save(f"{folder}/model.keras")
    logits = keras.ops.convert_to_numpy(model(images[:BATCH]))
    np.savez(f"{folder}/logits.npz", images=images[:BATCH], logits=logits)


def process(name, index, count, port, folder, epochs=1):
    """One of `count` processes on this machine; each reads its part of the batches."""
    import keras

    if count > 1:
        import jax

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(f"127.0.0.1:{port}", count, index)
        distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(distribution)
    from keras_danet import data
    from keras_danet.snapshots import Snapshots

    scenes = data.scenes(8, image_size=SIZE)
    model = build(name, len(data.class_names("scenes")))
    snapshots = Snapshots(f"{folder}/snapshots{count}")
    batches = data.prepare(
        scenes,
        BATCH,
        crop_size=SIZE,
        training=True,
        start_step=snapshots.step,
        shard=(index, count),
    )
    model.fit(
        batches,
        steps_per_epoch=STEPS,
        epochs=epochs,
        initial_epoch=snapshots.epoch,
        callbacks=[snapshots],
        verbose=0,
    )
    save_weights(model, f"{folder}/{index}of{count}.npz")


if __name__ == "__main__":
    if sys.argv[1] == "process":
        name, index, count, port, folder, epochs = sys.argv[2:]
        process(name, int(index), int(count), port, folder, int(epochs))
    else:
        name, count, folder, seed = sys.argv[1:]
        make_devices(int(count))
        one_and_many(name, int(count), folder, int(seed))
