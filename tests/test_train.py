"""examples/train.py: a recipe from end to end, killed on the way, and the list."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_danet.recipes import RECIPES
from tests import example_scripts

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples/train.py"
SMALL = (
    "--recipe dfdam_table2_dafm --data scenes --backbone resnet_18 --crop-size 32 "
    "--batch-size 2 --epochs 2 --steps-per-epoch 2 --score-every 1 --verbose 0"
)


def start(*arguments):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, SCRIPT, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process):
    output, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, output[-3000:]
    return output


def run(monkeypatch, *arguments):
    """The script's `main` in this process."""
    # There is no way back from it, and it is not for the tests that follow.
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: called.append(True)
    )
    called = []
    example_scripts.run(SCRIPT, monkeypatch, *arguments)
    return called


def assert_trained(output, folder):
    """A training of two epochs of two steps is whole, however often it began."""
    assert "DF-DAM, table 2: 72.8 mIoU" in output
    assert "not stated by the paper: epochs, head_multiplier" in output
    result = json.loads((folder / "result.json").read_text())
    assert result["reported mIoU"] == 72.8
    assert 0 <= result["measured mIoU"] <= 100
    assert result["recipe"]["weight_decay"] == RECIPES["dfdam_table2_dafm"].weight_decay
    assert result["hardware"]["devices"]
    with open(folder / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    scores = [float(row["val_mean_iou"]) for row in rows]
    assert result["best snapshot"]["score"] == pytest.approx(max(scores))
    assert list((folder / "tensorboard").rglob("events.*"))
    model = keras.saving.load_model(folder / "step-00000004" / "model.keras")
    assert int(model.optimizer.iterations) == 4 and model.class_names[0] == "sky"
    assert np.isfinite(model.predict(np.zeros((1, 40, 40, 3)), verbose=0)).all()


def test_stopped_and_started_again(tmp_path, monkeypatch, capsys):
    """Stopped by an error after the first epoch; the log has a row too many."""
    pytest.importorskip("tensorboard")
    arguments = [*SMALL.split(), "--out", tmp_path]

    def stop(callback, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            run(monkeypatch, *arguments)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000002"]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == [True]
    assert_trained(capsys.readouterr().out, tmp_path)


@pytest.mark.proof
def test_killed_and_started_again(tmp_path):
    """By SIGKILL, and it ends with the weights of one never killed."""
    pytest.importorskip("tensorboard")
    never, killed = tmp_path / "never", tmp_path / "killed"
    finish(start(*SMALL.split(), "--out", never))
    process = start(*SMALL.split(), "--out", killed)
    deadline = time.monotonic() + 1200
    while not list(killed.glob("step-*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    output = finish(start(*SMALL.split(), "--out", killed))
    assert_trained(output, killed)
    one, other = (
        keras.saving.load_model(folder / "step-00000004" / "model.keras")
        for folder in (never, killed)
    )
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_list(monkeypatch, capsys):
    run(monkeypatch, "--list")
    output = capsys.readouterr().out
    for name in RECIPES:
        assert name in output


def test_arguments_that_do_not_fit(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--recipe", "dfdam_table2_dafm")
    assert "--recipe and --data are needed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, "--recipe", "dfdam_table9", "--data", "scenes")
    assert "invalid choice: 'dfdam_table9'" in capsys.readouterr().err
