"""The notebooks, run from top to bottom on small settings."""

import json
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

from tests.hostile import photo

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"

# Notebooks make their data with tf.data, whatever the backend; one run shows them.
pytestmark = pytest.mark.once


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a notebook in an empty folder and gives its variables.

    `before` is the heading to stop at.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "KERAS_BACKEND", keras.backend.backend()
    )  # given back afterwards
    matplotlib.use("agg")

    def run(name, before=None, **parameters):
        variables = {"__name__": "__main__"}
        for number, cell in enumerate(cells(name)):
            if cell["cell_type"] != "code":
                if before is not None and before in cell["source"][0]:
                    return variables
                continue
            lines = "".join(cell["source"]).splitlines()
            source = "\n".join(line for line in lines if not line.startswith("%"))
            exec(compile(source, f"{name}.ipynb, cell {number}", "exec"), variables)
            if "parameters" in cell["metadata"].get("tags", []):
                unknown = parameters.keys() - variables.keys()
                assert not unknown, f"the notebook has no parameters {unknown}"
                variables.update(parameters)
        assert before is None, f"the notebook has no heading {before}"
        return variables

    return run


def cells(name):
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]


@pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda p: p.stem
)
def test_every_notebook_can_be_started(path):
    """A badge, an install, one cell of parameters, and no outputs in the repository."""
    first, install, *rest = cells(path.stem)
    badge = f"colab.research.google.com/github/keras-danet/keras-danet/blob/main/{path}"
    badge = badge.replace(str(NOTEBOOKS.parents[1]) + "/", "")
    assert badge in "".join(first["source"])
    assert "%pip install -q keras-danet" in "".join(install["source"])
    tagged = [c for c in rest if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    assert all(not c["outputs"] for c in [install, *rest] if c["cell_type"] == "code")


def test_finetune_on_your_folder(run, tmp_path):
    pytest.importorskip("tensorflow")
    variables = run(
        "finetune_on_your_folder",
        BACKBONE="resnet_18",
        SIZE=(32, 48),
        CROP=32,
        BATCH_SIZE=2,
        STEPS_PER_EPOCH=1,
        EPOCHS=1,
        SCENES=10,
    )
    assert variables["evaluation"].protocol["images"] == 4
    assert "dafm_saturation" in variables["history"].history
    for name in ("model.keras", "overlay.png"):
        assert (tmp_path / name).stat().st_size > 500


def test_finetune_on_a_folder_of_ones_own(run, tmp_path):
    pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    for kind in ("mine/images", "mine/labels"):
        (tmp_path / kind).mkdir(parents=True)
    for number in range(8):
        Image.fromarray(photo(rng, 40, 40)).save(tmp_path / f"mine/images/{number}.jpg")
        label = rng.integers(0, 2, (40, 40)).astype("uint8")
        Image.fromarray(label).save(tmp_path / f"mine/labels/{number}.png")
    variables = run(
        "finetune_on_your_folder",
        before="## 2. The model",
        IMAGES="mine/images",
        LABELS="mine/labels",
        CLASS_NAMES=["grass", "path"],
    )
    assert len(variables["val"]) == len(variables["train"]) == 4
    assert variables["images"][0].shape == (40, 40, 3)
    assert not (tmp_path / "scenes").exists()


def test_explain(run, tmp_path):
    pytest.importorskip("tensorflow")
    variables = run("explain", SIZE=(32, 48), BATCH_SIZE=2, STEPS_PER_EPOCH=1, EPOCHS=1)
    assert variables["seen"].position_maps.shape == (3, 4, 6)
    assert len(variables["worth"]) == 4
    for name in ("danet_curves", "danet_attention", "dfdam_attention"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000


def test_convert_checkpoint(run, tmp_path):
    np.savez(tmp_path / "official.npz", **official_tensors(num_classes=19))
    Image.fromarray(photo(np.random.default_rng(0), 40, 56)).save(tmp_path / "a.png")
    variables = run("convert_checkpoint", CHECKPOINT="official.npz", IMAGE="a.png")
    assert variables["result"].probabilities.shape == (40, 56, 19)
    assert variables["difference"] < 1e-6
    for name in ("converted.png", "converted_attention.png", "danet_cityscapes.keras"):
        assert (tmp_path / name).stat().st_size > 1000


def official_tensors(num_classes):
    """A checkpoint as the authors name it, ResNet-18, random weights: name -> array."""
    rng = np.random.default_rng(0)
    tensors = {}

    def conv(name, filters, channels, size, bias=False):
        scale = (2 / (channels * size * size)) ** 0.5
        shape = filters, channels, size, size
        tensors[f"{name}.weight"] = (rng.normal(size=shape) * scale).astype("float32")
        if bias:
            tensors[f"{name}.bias"] = np.zeros(filters, "float32")

    def bn(name, filters):
        for part, value in ("weight", 1), ("bias", 0), ("running_mean", 0):
            tensors[f"{name}.{part}"] = np.full(filters, value, "float32")
        tensors[f"{name}.running_var"] = np.ones(filters, "float32")

    conv("pretrained.conv1", 64, 3, 7)
    bn("pretrained.bn1", 64)
    channels = 64
    for stage, filters in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name = f"pretrained.layer{stage}.{block}"
            conv(f"{name}.conv1", filters, channels, 3)
            bn(f"{name}.bn1", filters)
            conv(f"{name}.conv2", filters, filters, 3)
            bn(f"{name}.bn2", filters)
            if channels != filters:
                conv(f"{name}.downsample.0", filters, channels, 1)
                bn(f"{name}.downsample.1", filters)
            channels = filters
    for name, inputs in ("5a", 512), ("5c", 512), ("51", 128), ("52", 128):
        conv(f"head.conv{name}.0", 128, inputs, 3)
        bn(f"head.conv{name}.1", 128)
    for name, filters in ("query", 16), ("key", 16), ("value", 128):
        conv(f"head.sa.{name}_conv", filters, 128, 1, bias=True)
    for name in ("sa", "sc"):
        tensors[f"head.{name}.gamma"] = np.full(1, 0.5, "float32")
    for name in ("6", "7", "8"):
        conv(f"head.conv{name}.1", num_classes, 128, 1, bias=True)
    return tensors
