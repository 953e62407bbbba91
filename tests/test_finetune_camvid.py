"""examples/finetune_camvid.py, two steps of it on a street of a few pixels."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_danet
from tests import example_scripts

pytestmark = pytest.mark.once

SCRIPT = Path(__file__).parents[1] / "examples/finetune_camvid.py"
SMALL = (
    "--epochs 1 --steps-per-epoch 1 --batch-size 2 --crop-size 32 32 --verbose 0 "
    "--mixed-precision --frozen-stages 1 --learning-rate 1e-4"
)


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """(CamVid's folders with two frames a split, a ResNet-50's weights)."""
    folder = tmp_path_factory.mktemp("street")
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        _write(folder, "images", split, "jpg", random.integers(0, 256, (48, 64, 3)))
        _write(folder, "labels", split, "png", random.integers(0, 12, (48, 64)))
    weights = folder / "r50.weights.h5"
    keras.utils.set_random_seed(0)
    resnet = keras.applications.ResNet50(weights=None, include_top=False)
    for layer in resnet.layers:
        # Random, and normalized by statistics it does not have, it would overflow.
        if layer.name.endswith("_bn"):
            layer.gamma.assign(0.1 * layer.gamma)
    resnet.save_weights(weights)
    return folder, weights


def _write(folder, kind, split, suffix, values):
    (folder / kind / split).mkdir(parents=True)
    for name in ("0001", "0002"):
        path = folder / kind / split / f"{name}.{suffix}"
        Image.fromarray(values.astype("uint8")).save(path)


def run(monkeypatch, street, out, *arguments):
    """The script's `main` in this process, the dtype policy left as it was."""
    given = ["--data", street[0], "--weights", street[1], *SMALL.split(), "--out", out]
    policy = keras.config.dtype_policy()
    try:
        example_scripts.run(SCRIPT, monkeypatch, *given, *arguments)
    finally:
        keras.config.set_dtype_policy(policy)


def test_a_row_trains_goes_on_and_is_scored(tmp_path, monkeypatch, street):
    run(monkeypatch, street, tmp_path)
    run(monkeypatch, street, tmp_path, "--cycles", "2", "--scales", "0.5", "1")
    result = json.loads((tmp_path / "result.json").read_text())
    for protocol in ("val", "test", "test, scales [0.5, 1.0] and flip"):
        split, *rest = protocol.split(",", 1)
        assert 0 <= result[",".join([f"{split} mIoU", *rest])] <= 1
    with open(tmp_path / "log.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert (tmp_path / "curves.png").stat().st_size > 1000
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.dtype_policy.name == "float32"
    # Compiled it would need the script's own learning rate schedule.
    assert not model.compiled
    assert all(layer.trainable for layer in model.backbone.layers)
    cost = keras_danet.profile(model, (360, 480))
    assert result["parameters"] == cost.parameters
    assert model.num_classes == len(model.class_names) == 11
    assert_frozen(model.backbone, street[1])


def test_the_learning_rate_starts_anew_with_each_cycle():
    script = example_scripts.load(SCRIPT)
    rate = script.Restarts(0.01, steps=10)
    once = keras_danet.poly_decay(0.01, 10)
    for step in (0, 4, 9):
        assert float(rate(step)) == float(rate(step + 20)) == float(once(step)), step
    same = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(rate)
    )
    assert float(same(14)) == float(rate(14))


def assert_frozen(trained, weights):
    """The stem is as it was in the weights' file, the fourth stage is not."""
    start = keras.applications.ResNet50(weights=None, include_top=False)
    start.load_weights(weights)
    for name, stays in (("conv1_conv", True), ("conv4_block1_1_conv", False)):
        before = keras.ops.convert_to_numpy(start.get_layer(name).kernel)
        after = keras.ops.convert_to_numpy(trained.get_layer(name).kernel)
        assert np.array_equal(before, after) == stays, name
