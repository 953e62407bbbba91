"""Several replicas, devices or processes train as one device on the same batches."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import replicas_run
from tests.cases import CASES, images_and_labels, predict

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
    output, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, output[-4000:]


def differences(one, other):
    """{weight: (largest difference, largest value)} of two files of weights."""
    one, other = np.load(one), np.load(other)
    assert one.files == other.files
    return {
        name: (np.abs(one[name] - other[name]).max(), np.abs(one[name]).max())
        for name in one.files
    }


def largest(found, floor):
    """The weight of the largest relative difference, and that difference."""
    relative = {name: d / max(v, floor) for name, (d, v) in found.items()}
    name = max(relative, key=relative.get)
    return name, relative[name]


def measured(one, other):
    """The largest relative difference of a weight, printed.

    Relative to the tensor's largest value, or to 1e-3 where that is smaller. Such
    weights, some biases and the gammas of the attention, have hardly moved from 0, by
    gradients that nearly or exactly cancel.
    """
    found = differences(one, other)
    for name, relative in (largest(found, 1e-30), largest(found, 1e-3)):
        print(f"{relative:.1e} in {name}, at most {found[name][1]:.1e};", end=" ")
    return relative


def assert_equal_weights(one, other):
    assert measured(one, other) <= 1e-5


def assert_replicas_equal_one(case, count, folder):
    """For one of three starts: rounding may tip a ReLU, an error would be in all."""
    for seed in range(3):
        finish(start("-m", "tests.replicas_run", case, count, folder, seed))
        if measured(folder / "one.npz", folder / "many.npz") <= 1e-5:
            return
    raise AssertionError(f"{count} replicas differ from one device for every seed")


distributed = pytest.mark.skipif(
    BACKEND == "torch", reason="Keras has no keras.distribution on PyTorch"
)


@distributed
def test_two_replicas_equal_one_device(tmp_path):
    """And the file that they save loads, with its optimizer."""
    case = {"tensorflow": "danet", "jax": "dfdam"}[BACKEND]
    assert_replicas_equal_one(case, 2, tmp_path)
    model = keras.saving.load_model(tmp_path / "model.keras")
    saved = np.load(tmp_path / "logits.npz")
    logits = predict(model, saved["images"])
    np.testing.assert_allclose(logits, saved["logits"], atol=1e-4)
    assert int(model.optimizer.iterations) == 5


@distributed
@pytest.mark.proof
@pytest.mark.parametrize("case", ["danet", "dfdam"])
def test_yardstick(case, tmp_path):
    """How far rounding alone moves the weights: one device, each batch in reverse."""
    finish(start("-m", "tests.replicas_run", case, 1, tmp_path, 0))
    # Looser: here, too, rounding may tip a ReLU to the other side.
    assert 0 < measured(tmp_path / "one.npz", tmp_path / "many.npz") <= 1e-2


@distributed
@pytest.mark.proof
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("case", ["danet", "dfdam"])
def test_replicas_equal_one_device(case, count, tmp_path):
    assert_replicas_equal_one(case, count, tmp_path)
    if count == 4:
        for backend in ("tensorflow", "jax", "torch"):
            finish(start("-c", LOADS, tmp_path, backend=backend))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def train_in_two_processes(case, folder, epochs=1):
    """On the loopback; each has its shard, and the first one writes the snapshots."""
    script = ("-m", "tests.replicas_run", "process", case)
    port = free_port()
    pair = [start(*script, index, 2, port, folder, epochs) for index in (0, 1)]
    try:
        for process in pair:
            finish(process)
    finally:
        for process in pair:
            process.kill()
    assert_equal_weights(folder / "0of2.npz", folder / "1of2.npz")
    [snapshot] = (folder / "snapshots2").iterdir()
    assert snapshot.name == f"step-{5 * epochs:08d}"


several = pytest.mark.skipif(BACKEND != "jax", reason="several processes are JAX's way")


@several
def test_two_processes_equal_one(tmp_path):
    train_in_two_processes("danet_none", tmp_path)
    replicas_run.process("danet_none", 0, 1, None, tmp_path)
    assert_equal_weights(tmp_path / "0of1.npz", tmp_path / "0of2.npz")


@several
@pytest.mark.proof
@pytest.mark.parametrize("case", ["danet", "dfdam"])
def test_two_processes_go_on_together(case, tmp_path):
    """Two epochs in two starts equal two epochs in one."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, starts in ((whole, (2,)), (parts, (1, 2))):
        folder.mkdir()
        for epochs in starts:
            train_in_two_processes(case, folder, epochs)
    assert_equal_weights(whole / "0of2.npz", parts / "0of2.npz")


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
