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

from keras_danet.recipes import RECIPES

# Trains in processes of its own and kills them: minutes, so not in every run.
pytestmark = [pytest.mark.once, pytest.mark.proof]

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
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-3000:]
    return output


def test_killed_and_started_again(tmp_path):
    pytest.importorskip("tensorboard")
    killed = start(*SMALL.split(), "--out", tmp_path)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("step-*")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    output = finish(start(*SMALL.split(), "--out", tmp_path))
    assert "DF-DAM, table 2: 72.8 mIoU" in output
    assert "not stated by the paper: epochs, head_multiplier" in output
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["reported mIoU"] == 72.8
    assert 0 <= result["measured mIoU"] <= 100
    assert result["recipe"]["weight_decay"] == RECIPES["dfdam_table2_dafm"].weight_decay
    assert result["hardware"]["devices"]
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    scores = [float(row["val_mean_iou"]) for row in rows]
    assert result["best snapshot"]["score"] == pytest.approx(max(scores))
    assert list((tmp_path / "tensorboard").rglob("events.*"))
    model = keras.saving.load_model(tmp_path / "step-00000004" / "model.keras")
    assert int(model.optimizer.iterations) == 4 and model.class_names[0] == "sky"
    assert np.isfinite(model.predict(np.zeros((1, 40, 40, 3)), verbose=0)).all()


def test_list():
    output = finish(start("--list"))
    for name in RECIPES:
        assert name in output
