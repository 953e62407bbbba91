"""A training that is killed, or whose disk is full, goes on as if nothing had been."""

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_danet.snapshot_folder import SnapshotFolder
from keras_danet.snapshots import Snapshots
from tests.cases import CASES, images_and_labels
from tests.snapshot_run import EPOCHS, STEPS

ROOT = Path(__file__).parents[1]
KILLED = -9


def run(folder, kill=None):
    """The exit code of one start of the training."""
    arguments = [folder] if kill is None else [folder, kill]
    command = [sys.executable, "-m", "tests.snapshot_run", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, KILLED), done.stderr[-3000:]
    return done.returncode


def ending(folder):
    with np.load(f"{folder}.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def assert_equal_endings(one, other):
    for a, b in zip(ending(one), ending(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_killed_twice_ends_like_one_never_killed(tmp_path):
    """Once between two snapshots, once in the middle of writing one."""
    assert run(tmp_path / "never") == 0
    killed = tmp_path / "killed"
    assert run(killed, str(STEPS + 1)) == KILLED
    assert run(killed, f"write:{2 * STEPS}") == KILLED
    assert SnapshotFolder(killed).steps()[-1] == STEPS
    assert run(killed) == 0
    assert_equal_endings(tmp_path / "never", killed)


@pytest.mark.proof
def test_kills_at_random_steps(tmp_path):
    """Trainings killed once each: at a random step, or one in three while writing."""
    assert run(tmp_path / "never") == 0
    rng = random.Random(0)
    for number in range(20 if keras.backend.backend() == "tensorflow" else 5):
        folder = tmp_path / f"killed{number}"
        if number % 3 == 0:
            kill = f"write:{STEPS * rng.randint(1, EPOCHS)}"
        else:
            kill = str(rng.randint(1, STEPS * EPOCHS))
        assert run(folder, kill) == KILLED, kill
        assert run(folder) == 0
        assert_equal_endings(tmp_path / "never", folder)
        print(number, kill, "equal", flush=True)


@pytest.fixture(scope="module")
def model():
    model = CASES["dfdam"].build()
    model.compile()
    return model


def fit(model, snapshots, epochs, extra=()):
    images, labels = images_and_labels(2, 24, 32)
    return model.fit(
        images,
        labels,
        batch_size=1,
        epochs=epochs,
        initial_epoch=snapshots.epoch,
        callbacks=[*extra, snapshots],
        verbose=0,
    )


class Score(keras.callbacks.Callback):
    """Puts the next of `scores` into the logs of an epoch."""

    def __init__(self, scores):
        super().__init__()
        self.scores = list(scores)

    def on_epoch_end(self, epoch, logs=None):
        logs["val_mean_iou"] = self.scores.pop(0)


def test_the_last_and_the_best_are_kept(model, tmp_path):
    snapshots = Snapshots(tmp_path / "run", monitor="val_mean_iou")
    assert snapshots.best_model is None and snapshots.last_model is None
    fit(model, snapshots, 4, [Score([0.1, 0.5, float("nan"), 0.3])])
    assert snapshots.best == {"step": 4, "epoch": 2, "score": 0.5}
    assert snapshots.folder.steps() == [4, 8]
    assert snapshots.best_model == tmp_path / "run" / "step-00000004" / "model.keras"
    again = Snapshots(tmp_path / "run", monitor="val_mean_iou")
    assert (again.step, again.epoch, again.best) == (8, 4, snapshots.best)
    best = keras.saving.load_model(again.best_model)
    assert best.compiled and int(best.optimizer.iterations) == 4
    fit(model, again, 5, [Score([0.7])])
    assert again.folder.steps() == [10]


def test_random_generators_go_on(tmp_path):
    model = CASES["danet_none"].build(dropout=0.5)
    model.compile()
    fit(model, Snapshots(tmp_path), 1)

    def seeds(model):
        return [
            keras.ops.convert_to_numpy(v)
            for v in model.variables
            if v.name == "seed_generator_state"
        ]

    expected = (random.random(), np.random.rand(), seeds(model))
    assert any(seed[1] > 0 for seed in expected[2])
    random.seed(5)
    np.random.seed(5)
    other = CASES["danet_none"].build(dropout=0.5)
    other.compile()
    snapshots = Snapshots(tmp_path)
    fit(other, snapshots, snapshots.epoch)
    assert random.random() == expected[0] and np.random.rand() == expected[1]
    np.testing.assert_array_equal(seeds(other), expected[2])


@pytest.mark.parametrize("full", ["model", "flush"])
def test_full_disk_leaves_the_last_snapshot(model, full, tmp_path, monkeypatch):
    fit(model, Snapshots(tmp_path), 1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def save(path):
        path.write_bytes(b"half")
        no_space()

    snapshots = Snapshots(tmp_path)
    with monkeypatch.context() as patch:
        if full == "model":
            patch.setattr(model, "save", save)
        else:
            patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match="step 4 .*No space.*from step-00000002") as e:
            fit(model, snapshots, 2)
    assert e.value.errno == errno.ENOSPC
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000002"]


def test_what_an_interruption_leaves_is_swept(model, tmp_path):
    left = tmp_path / ".unfinished-x"
    left.mkdir()
    (left / "model.keras").write_bytes(b"half")
    snapshots = Snapshots(tmp_path)
    assert snapshots.step == 0
    fit(model, snapshots, 1)
    assert not left.exists()


def test_damaged_snapshots_are_named(model, tmp_path):
    fit(model, Snapshots(tmp_path), 1)
    folder = tmp_path / "step-00000002"
    path = folder / "model.keras"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="model.keras is damaged.*checksum"):
        fit(model, Snapshots(tmp_path), 2)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="Delete the folder step-00000002"):
        fit(model, Snapshots(tmp_path), 2)
    for content in ("{", "{}", "4"):
        (folder / "state.json").write_text(content)
        with pytest.raises(ValueError, match="state.json is damaged"):
            Snapshots(tmp_path)


def test_a_log_with_a_blank_line_is_trimmed(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss\n\n0,1.5\n")
    Snapshots(tmp_path / "snapshots").trim_log(log)
    assert log.read_text() == "epoch,loss\n"


def test_misuse(model, tmp_path):
    with pytest.raises(ValueError, match="mode='best'"):
        Snapshots(tmp_path, mode="best")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="this is a file.*a.txt"):
        Snapshots(tmp_path / "a.txt")
    (tmp_path / "step-of-mine").mkdir()
    snapshots = Snapshots(tmp_path, monitor="val_miou")
    with pytest.warns(UserWarning, match="No epoch's logs held 'val_miou'"):
        fit(model, snapshots, 1)
    with pytest.raises(ValueError, match="initial_epoch=snapshots.epoch"):
        images, labels = images_and_labels(2, 24, 32)
        model.fit(images, labels, callbacks=[Snapshots(tmp_path)], verbose=0)
    other = CASES["dfdam"].build(context="sum")
    other.compile()
    with pytest.raises(ValueError, match="another model"):
        fit(other, Snapshots(tmp_path), 2)


def test_state_is_readable(model, tmp_path):
    fit(model, Snapshots(tmp_path), 1)
    state = json.loads((tmp_path / "step-00000002" / "state.json").read_text())
    assert (state["step"], state["epoch"], state["best"]) == (2, 1, None)
