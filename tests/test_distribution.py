"""Several replicas, devices or processes train as one device on the same batches."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.cases import CASES, images_and_labels

# Whole trainings in several processes: minutes, so not in every run.
pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[1]
BACKEND = keras.backend.backend()

LOADS = """
import sys, keras, numpy as np, keras_danet
from tests.cases import predict
model = keras.saving.load_model(sys.argv[1] + "/model.keras")
saved = np.load(sys.argv[1] + "/logits.npz")
np.testing.assert_allclose(predict(model, saved["images"]), saved["logits"], atol=1e-4)
assert int(model.optimizer.iterations) == 5
"""


def start(*arguments, backend=BACKEND):
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process):
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-4000:]


def assert_equal_weights(one, other):
    one, other = np.load(one), np.load(other)
    assert one.files == other.files
    for name in one.files:
        difference = np.abs(one[name] - other[name]).max()
        # Some biases have no gradient but rounding, or have moved from 0 by 1e-7.
        size = max(np.abs(one[name]).max(), 1e-3)
        assert difference <= 1e-5 * size, (name, difference, size)


def assert_replicas_equal_one(case, count, folder):
    finish(start("-m", "tests.replicas_run", case, count, folder))
    assert_equal_weights(folder / "one.npz", folder / "many.npz")


distributed = pytest.mark.skipif(
    BACKEND == "torch", reason="Keras has no keras.distribution on PyTorch"
)


@distributed
def test_two_replicas_equal_one_device(tmp_path):
    case = {"tensorflow": "danet", "jax": "dfdam"}[BACKEND]
    assert_replicas_equal_one(case, 2, tmp_path)
    if BACKEND == "tensorflow":
        loads = [
            start("-c", LOADS, tmp_path, backend=backend)
            for backend in ("tensorflow", "jax", "torch")
        ]
        for load in loads:
            finish(load)


@distributed
@pytest.mark.proof
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("case", ["danet", "dfdam"])
def test_replicas_equal_one_device(case, count, tmp_path):
    assert_replicas_equal_one(case, count, tmp_path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.skipif(BACKEND != "jax", reason="several processes are JAX's way")
def test_two_processes_equal_one(tmp_path):
    """On the loopback; each has its shard, and the first one writes the snapshot."""
    port = free_port()
    script = ("-m", "tests.replicas_run", "process", "dfdam")
    pair = [start(*script, index, 2, port, tmp_path) for index in (0, 1)]
    try:
        for process in pair:
            finish(process)
    finally:
        for process in pair:
            process.kill()
    finish(start(*script, 0, 1, port, tmp_path))
    assert_equal_weights(tmp_path / "0of2.npz", tmp_path / "1of2.npz")
    assert_equal_weights(tmp_path / "0of1.npz", tmp_path / "0of2.npz")
    assert [p.name for p in (tmp_path / "snapshots2").iterdir()] == ["step-00000005"]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_several_tensorflow_workers_are_refused(monkeypatch):
    import tensorflow as tf

    model = CASES["dfdam"].build()
    model.compile()
    # Not a real one: making it would reserve ports and collectives.
    strategy = object.__new__(tf.distribute.MultiWorkerMirroredStrategy)
    monkeypatch.setattr(type(model), "distribute_strategy", strategy)
    with pytest.raises(ValueError, match="keras.distribution.initialize"):
        model.fit(*images_and_labels(), verbose=0)
