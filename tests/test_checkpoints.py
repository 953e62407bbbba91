"""Published checkpoints give the reference's numbers, in every format and variant."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_danet import DANet, from_checkpoint, load_torch_weights
from keras_danet.checkpoints.settings import infer, recognize
from keras_danet.checkpoints.tensors import Tensors
from keras_danet.layers import BilinearResize
from tests.references import (
    HEADS,
    channels_last,
    fixture,
    largest_difference,
    logits_model,
    reference_weights,
    write_pth,
)
from tests.shared import needs_shared

torch = pytest.importorskip("torch", reason="the tests write .pth files with torch")

from tests import torch_danet  # noqa: E402


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    path = tmp_path_factory.mktemp("official") / "DANet50.pth.tar"
    write_pth(path, reference_weights("official_r50"))
    return logits_model(from_checkpoint(path, preprocessing=None))


@pytest.fixture(scope="module")
def mmseg(tmp_path_factory):
    path = tmp_path_factory.mktemp("mmseg") / "danet_r50-d8.pth"
    write_pth(path, reference_weights("mmseg_r50"), legacy=True, prefix="")
    return logits_model(from_checkpoint(str(path), preprocessing=None))


@needs_shared
@pytest.mark.parametrize("images", "abd")
@pytest.mark.parametrize("source", ["official", "mmseg"])
def test_logits_are_the_references(source, images, request):
    model = request.getfixturevalue(source)
    folder = f"{source}_r50"
    with np.load(fixture(folder, f"{images}_feat.npz")) as arrays:
        logits = model(channels_last(arrays["x"]), training=False)
        compared = 0
        for head, theirs in HEADS.items():
            if theirs in arrays:
                actual = logits[f"{head}_logits"]
                assert largest_difference(actual, arrays[theirs]) <= 1e-4
                compared += 1
    assert compared == (4 if source == "mmseg" else 3)
    for path in fixture(folder).glob(f"{images}_up_*.npz"):
        _compare_enlarged(logits, path)


def _compare_enlarged(logits, path):
    with np.load(path) as arrays:
        (key,) = arrays
        head = next(ours for ours, theirs in HEADS.items() if key.startswith(theirs))
        expected = arrays[key]
    actual = logits[f"{head}_resize"]
    if key.endswith("_ac1"):  # what the override align_corners=True gives
        images = np.zeros((len(actual), *actual.shape[1:3], 3), "float32")
        actual = BilinearResize(align_corners=True)([logits[f"{head}_logits"], images])
    assert largest_difference(actual, expected) <= 1e-4


def compare_with_torch(module, model, images):
    """All heads' logits at feature size, against the same network in PyTorch."""
    with torch.no_grad():
        expected = module.double().eval()(torch_danet.channels_first(images).double())
    actual = logits_model(model)(images, training=False)
    assert set(expected) == set(model.heads)
    for head, logits in expected.items():
        scale = float(logits.abs().max())
        error = largest_difference(actual[f"{head}_logits"], logits.numpy())
        assert error <= 2e-5 * scale, head
        assert logits.std() > 0.05 * scale, "the comparison needs a signal"


def normal_images(*shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@pytest.fixture(scope="module")
def official_18():
    """The official network on ResNet-18, with a multi-grid, and ours from it."""
    with torch.no_grad():
        module = torch_danet.randomize(
            torch_danet.OfficialDANet(5, 18, multi_grid=(4, 8, 16))
        )
    state_dict = {
        f"module.{name}": value for name, value in module.state_dict().items()
    }
    state_dict["module.pretrained.fc.weight"] = torch.zeros(1000, 512)
    state_dict["module.pretrained.fc.bias"] = torch.zeros(1000)
    model = from_checkpoint(
        {"state_dict": state_dict}, preprocessing=None, multi_grid=(4, 8, 16)
    )
    return module, model


def test_official_basic_blocks_and_multi_grid(official_18):
    module, model = official_18
    compare_with_torch(module, model, normal_images(1, 64, 81, 3))


def test_override_reaches_the_model(official_18):
    _, model = official_18
    assert model.get_layer("fused_resize").align_corners
    dilated = model.backbone.get_layer("stack3_block1_1_conv")
    assert dilated.dilation_rate == (8, 8)


@pytest.mark.proof
@pytest.mark.parametrize(
    "network",
    [
        lambda: torch_danet.OfficialDANet(19, 101, None, (4, 8, 16)),
        lambda: torch_danet.OfficialDANet(19, 50, (64, 64, 128)),
        lambda: torch_danet.OfficialDANet(19, 101, (64, 64, 128)),
        lambda: torch_danet.MmsegDANet(19, 101),
        lambda: torch_danet.MmsegDANet(150, 50),
    ],
    ids=["official_101", "official_v1s_50", "official_v1s_101", "mmseg_101", "ade20k"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_every_published_variant(network, legacy, tmp_path):
    with torch.no_grad():
        module = torch_danet.randomize(network())
    path = write_pth(tmp_path / "checkpoint.pth", module.state_dict(), legacy=legacy)
    model = from_checkpoint(path, preprocessing=None)
    compare_with_torch(module, model, normal_images(1, 96, 113, 3))


def _told(module, prefix=""):
    shapes = {prefix + name: value.shape for name, value in module.state_dict().items()}
    tensors = Tensors("test", {name: tuple(s) for name, s in shapes.items()}, None)
    naming = recognize(tensors)
    told = infer(tensors.shapes, naming)
    return naming.title, {**naming.implied(told["backbone"]), **told}


@pytest.mark.parametrize(
    "depth,stem,backbone",
    [
        (18, None, "resnet_18"),
        (34, None, "resnet_34"),
        (50, None, "resnet_50"),
        (101, None, "resnet_101"),
        (152, None, "resnet_152"),
        (50, (32, 32, 64), "resnet_v1c_50"),
        (50, (64, 64, 128), "resnet_v1s_50"),
        (101, (64, 64, 128), "resnet_v1s_101"),
    ],
)
def test_settings_are_told_by_names_and_shapes(depth, stem, backbone):
    with torch.device("meta"):
        title, told = _told(torch_danet.ResNet(depth, stem, dilated=False))
        assert (title, told) == ("torchvision / timm ResNet", {"backbone": backbone})
        title, told = _told(torch_danet.OfficialDANet(7, depth, stem))
    expected = {
        "backbone": backbone,
        "num_classes": 7,
        "auxiliary_head": False,
        "align_corners": True,
    }
    if backbone == "resnet_101":
        expected["multi_grid"] = (4, 8, 16)
    assert (title, told) == ("official DANet", expected)


def test_settings_of_mmsegmentation():
    with torch.device("meta"):
        module = torch_danet.MmsegDANet(150, 101)
    expected = {
        "backbone": "resnet_v1c_101",
        "num_classes": 150,
        "auxiliary_head": True,
        "align_corners": False,
    }
    assert _told(module) == ("mmsegmentation DANet", expected)
    del module.auxiliary_head
    expected["auxiliary_head"] = False
    assert _told(module) == ("mmsegmentation DANet", expected)


@pytest.fixture(scope="module")
def resnet_18():
    """A torchvision ResNet-18, and ours from it."""
    with torch.no_grad():
        module = torch_danet.randomize(torch_danet.ResNet(18, dilated=False))
    state_dict = module.state_dict() | {"fc.weight": torch.zeros(1000, 512)}
    return module, from_checkpoint(state_dict, name="mine")


def test_backbone_equals_torchvisions(resnet_18):
    module, backbone = resnet_18
    assert backbone.name == "mine"
    images = normal_images(1, 64, 81, 3)
    with torch.no_grad():
        expected = module.double().eval()(torch_danet.channels_first(images).double())
    pyramid = keras.Model(backbone.input, backbone.pyramid_outputs)
    actual = pyramid(images, training=False)
    for stage, features in enumerate(expected, start=2):
        error = largest_difference(actual[f"P{stage}"], features.numpy())
        assert error <= 1e-5 * float(features.abs().max())


def test_a_resnet_takes_no_settings_of_a_danet(resnet_18):
    module, _ = resnet_18
    for wrong in ({"num_classes": 11}, {"output_stride": 8}):
        with pytest.raises(TypeError, match=f"backbone=.*Received: {[*wrong][0]}"):
            from_checkpoint(module.state_dict(), **wrong)


def test_backbone_goes_into_a_segmentation_model(resnet_18):
    module, backbone = resnet_18
    model = DANet(3, backbone, preprocessing=None)
    kernel = model.backbone.get_layer("stack3_block1_2_conv").kernel
    expected = module.state_dict()["layer4.1.conv2.weight"].numpy()
    actual = keras.ops.convert_to_numpy(kernel).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(actual, expected.astype("float32"))


def test_load_into_the_backbone_of_a_model(resnet_18, official_18):
    module, _ = resnet_18
    _, model = official_18
    other = keras.models.clone_model(model.backbone)
    load_torch_weights(other, module.state_dict())
    expected = module.state_dict()["conv1.weight"].numpy().astype("float32")
    actual = keras.ops.convert_to_numpy(other.get_layer("conv1_conv").kernel)
    np.testing.assert_array_equal(actual.transpose(3, 2, 0, 1), expected)


@pytest.mark.once
def test_the_script_converts(official_18, tmp_path):
    module, model = official_18
    source = write_pth(tmp_path / "DANet18.pth.tar", module.state_dict())
    root = Path(__file__).parents[1]
    script = root / "examples/convert_checkpoint.py"
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    printed = subprocess.run(
        [sys.executable, script, source, tmp_path / "danet.keras"],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"{model.count_params():,} parameters" in printed
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "danet.keras"}
    converted = keras.saving.load_model(tmp_path / "danet.keras")
    assert converted.get_layer("fused_resize").align_corners
    for expected, actual in zip(
        model.get_weights(), converted.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
