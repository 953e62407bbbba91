"""One training that can be killed: `python -m tests.snapshot_run FOLDER [KILL]`.

KILL is "STEP", to die by SIGKILL when so many batches are done, or "write:STEP", to die
in the middle of writing the snapshot of that step. A run that ends writes FOLDER.npz.
"""

import os
import signal
import sys

import keras
import numpy as np

import keras_danet
from keras_danet import data
from keras_danet.snapshots import Snapshots
from tests.cases import tiny_resnet

STEPS = 3  # in an epoch
EPOCHS = 4


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_writing(step):
    """Makes saving a model stop half-way, when the snapshot is that of `step`."""
    save = keras.Model.save

    def half(model, path, *args, **kwargs):
        save(model, path, *args, **kwargs)
        if int(model.optimizer.iterations) == step:
            os.truncate(path, os.path.getsize(path) // 2)
            die()

    keras.Model.save = half


def build():
    model = keras_danet.DANet(9, tiny_resnet(), output_stride=32, dropout=0.5)
    schedule = keras_danet.poly_decay(0.01, STEPS * EPOCHS)
    model.compile(keras_danet.SGD(schedule, head_multiplier=2.0))
    return model


class Kill(keras.callbacks.Callback):
    """Ends this process at a step, as a lost machine would."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_epoch_begin(self, epoch, logs=None):
        self.first = epoch * STEPS

    def on_train_batch_end(self, batch, logs=None):
        if self.first + batch + 1 == self.step:
            die()


def be_deterministic():
    """Sums in one order, or rounding alone would tell two equal trainings apart."""
    keras.utils.set_random_seed(0)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def main(folder, kill=None):
    be_deterministic()
    snapshots = Snapshots(folder, monitor="loss", mode="min")
    scenes = data.scenes(7, image_size=(48, 64))
    batches = data.prepare(
        scenes, 2, crop_size=48, training=True, seed=3, start_step=snapshots.step
    )
    callbacks = [snapshots]
    if kill and kill.startswith("write:"):
        die_writing(int(kill.removeprefix("write:")))
    elif kill:
        callbacks.append(Kill(int(kill)))
    model = build()
    model.fit(
        batches,
        steps_per_epoch=STEPS,
        epochs=EPOCHS,
        initial_epoch=snapshots.epoch,
        callbacks=callbacks,
        verbose=0,
    )
    arrays = [keras.ops.convert_to_numpy(v) for v in model.variables]
    arrays += [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    np.savez(f"{folder}.npz", *arrays, best=[snapshots.best["score"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
