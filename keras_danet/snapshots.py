"""Snapshots of a training, from which the same command goes on after a stop."""

import csv
import json
import random
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_danet.replicas import alone, is_first_process
from keras_danet.snapshot_folder import MODEL, STATE, SnapshotFolder


class Snapshots(keras.callbacks.Callback):
    """Saves everything at the end of each epoch of `fit`, and goes on from there.

    Use it wherever the machine may be lost. Killed at any moment and started again with
    the same command, a training ends with the weights of one that was never stopped, if
    its batches come from `data.prepare(..., start_step=snapshots.step)` and its seed is
    set (`keras.utils.set_random_seed`): to the last bit on a CPU, where TensorFlow
    promises that only after `tf.config.experimental.enable_op_determinism()`; up to
    rounding on a GPU, which sums in varying order.

    An epoch is whatever `steps_per_epoch` says, so that this also says how often is
    saved. A snapshot is a folder "step-..." with "model.keras", the whole compiled
    model with its optimizer, and "state.json", what a `.keras` file does not hold: step
    and epoch, best score, and the states of the random generators (of dropout, of
    Python and of NumPy). The last and the best snapshot are kept. It is written under
    another name, flushed and renamed: an interruption at any moment, or a full disk,
    leaves the one before as it was.

    Where several JAX processes train together each gives `fit` a `Snapshots` of the
    same folder, which all of them must see; the first one writes.

    Args:
        folder: str or path, of this training and no other.
        monitor: None, or the name in the epoch's logs of the score that says which
            snapshot is the best. A callback that computes it must stand before this
            one. Epochs whose logs lack it, or hold NaN, are not judged.
        mode: "max" or "min", whether a higher or a lower score is better.

    Attributes:
        step: batches trained so far: the `start_step` of the stream.
        epoch: epochs done: the `initial_epoch` of `fit`.
        best: None, or {"step": int, "epoch": int, "score": float}.

    Raises:
        ValueError: a bad `mode`, or a file in place of the folder; in `fit`, an
            `initial_epoch` other than `epoch`, or another model than the snapshot's,
            or a damaged snapshot.
        OSError: in `fit`, a snapshot cannot be written.

    Example:

    >>> snapshots = keras_danet.Snapshots("runs/voc", monitor="val_mean_iou")
    >>> batches = keras_danet.data.prepare(
    ...     voc, 16, crop_size=512, training=True, start_step=snapshots.step
    ... )
    >>> model.fit(
    ...     batches,
    ...     steps_per_epoch=661,
    ...     epochs=50,
    ...     initial_epoch=snapshots.epoch,
    ...     callbacks=[snapshots],
    ... )
    >>> best = keras.saving.load_model(snapshots.best_model)
    """

    def __init__(self, folder, monitor=None, mode="max"):
        super().__init__()
        if mode not in ("max", "min"):
            raise ValueError(f"`mode` must be 'max' or 'min'. Received: mode={mode!r}")
        self.folder = SnapshotFolder(folder)
        self.monitor = monitor
        self.mode = mode
        self.step = self.epoch = 0
        self.best = None
        self._pending = self.folder.newest()
        self._batches = 0
        if self._pending is not None:
            state = _read_state(self._pending)
            self.step, self.epoch = state["step"], state["epoch"]
            self.best = state["best"]

    @property
    def best_model(self):
        """Path of the best snapshot's `.keras` file, None before the first score."""
        return None if self.best is None else self.folder.at(self.best["step"]) / MODEL

    @property
    def last_model(self):
        """Path of the last snapshot's `.keras` file, None before the first."""
        newest = self.folder.newest()
        return None if newest is None else newest / MODEL

    def trim_log(self, path):
        """Drops the epochs that no snapshot knows from a `CSVLogger`'s file, if any.

        Call it before `fit`, with `CSVLogger(path, append=True)` among the callbacks:
        an epoch that was logged and lost is trained, and logged, again.

        Args:
            path: str or path of the log.
        """
        path = Path(path)
        if path.exists():
            rows = filter(None, csv.reader(path.read_text().splitlines()))
            kept = [r for r in rows if r[0] == "epoch" or int(r[0]) < self.epoch]
            path.write_text("".join(",".join(row) + "\n" for row in kept))

    def on_train_begin(self, logs=None):
        if self._pending is not None:
            _restore(self.model, self._pending)
            self._pending = None
        if is_first_process():
            self.folder.sweep()

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self.epoch:
            raise ValueError(
                f"{self.folder.path} holds {self.epoch} epochs: `fit` must go on from "
                "there. Pass `initial_epoch=snapshots.epoch`, or give a folder of its "
                f"own to another training. Received: epoch {epoch}"
            )
        self._batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self._batches = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.step += self._batches
        self.epoch = epoch + 1
        self._judge((logs or {}).get(self.monitor))
        if not is_first_process():
            return
        state = {"step": self.step, "epoch": self.epoch, "best": self.best}
        with self.folder.writing(self.step) as folder:
            with alone():
                # The property brings JAX's variables up to date.
                self.model.save(folder / MODEL)
            state["random"] = _random_states(self.model)
            (folder / STATE).write_text(json.dumps(state))
        self.folder.keep([self.step, self.best["step"] if self.best else self.step])

    def _judge(self, score):
        if score is None or np.isnan(score):
            return
        score = float(score)
        sign = 1 if self.mode == "max" else -1
        if self.best is None or sign * score > sign * self.best["score"]:
            self.best = {"step": self.step, "epoch": self.epoch, "score": score}

    def on_train_end(self, logs=None):
        if self.monitor is not None and self.best is None and self._batches:
            warnings.warn(
                f"No epoch's logs held {self.monitor!r}, so that no snapshot is the "
                "best. Put the callback that computes it before Snapshots. "
                f"Received: logs {sorted(logs or {})}",
                stacklevel=2,
            )


def _read_state(snapshot):
    try:
        state = json.loads((snapshot / STATE).read_text())
        if set(state) != {"step", "epoch", "best", "random"}:
            raise ValueError("not the state of a snapshot")
        return state
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(snapshot / STATE, error) from error


def _restore(model, snapshot):
    """Gives `model` the weights, optimizer and random states of a snapshot."""
    _check_zip(snapshot / MODEL)
    with alone():
        saved = keras.saving.load_model(snapshot / MODEL)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    _copy(saved.weights, model.weights, snapshot, "weights")
    ours, theirs = model.optimizer.variables, saved.optimizer.variables
    _copy(theirs, ours, snapshot, "optimizer")
    _set_random_states(model, _read_state(snapshot)["random"])


def _check_zip(path):
    try:
        with zipfile.ZipFile(path) as file:
            bad = file.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    if bad is not None:
        raise _damaged(path, f"the checksum of {bad} is wrong")


def _copy(sources, targets, snapshot, what):
    shapes = [[tuple(v.shape) for v in side] for side in (sources, targets)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{snapshot} is of another model: its {what} differ in number or shape. "
            "Build and compile the model with the same arguments as then, or give "
            "another folder to another training. Received: "
            f"{len(shapes[1])} variables, {len(shapes[0])} in the snapshot"
        )
    for source, target in zip(sources, targets, strict=True):
        target.assign(keras.ops.convert_to_numpy(source))


def _damaged(path, reason):
    return ValueError(
        f"{path} is damaged. Delete the folder {path.parent.name}, and the training "
        "goes on from the snapshot before it, or from the beginning. "
        f"Received: {reason}"
    )


def _seed_states(model):
    """The states of the model's `SeedGenerator`s: no weights and no metrics."""
    known = {id(v) for v in (*model.weights, *model.metrics_variables)}
    return [v for v in model.variables if id(v) not in known]


def _random_states(model):
    kind, keys, *rest = np.random.get_state()
    seeds = [keras.ops.convert_to_numpy(v).tolist() for v in _seed_states(model)]
    return {
        "layers": seeds,
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
    }


def _set_random_states(model, states):
    for variable, state in zip(_seed_states(model), states["layers"], strict=True):
        variable.assign(np.array(state, variable.dtype))
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(tuple(states["numpy"]))
