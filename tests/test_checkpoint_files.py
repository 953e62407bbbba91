"""A checkpoint file gives exactly its tensors, or an error and an unchanged model."""

import argparse
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import keras_hub
import ml_dtypes
import numpy as np
import pytest

from keras_danet import DFDAM, DANet, from_checkpoint, load_torch_weights
from keras_danet.checkpoints.mmseg import MMSEG
from keras_danet.checkpoints.names import match_variables, their_shape
from keras_danet.checkpoints.official import OFFICIAL
from keras_danet.checkpoints.reading import open_tensors
from tests.references import write_pth

torch = pytest.importorskip("torch", reason="the tests write .pth files with torch")
safetensors = pytest.importorskip("safetensors.numpy", reason="it writes .safetensors")

from tests import torch_danet  # noqa: E402


def tiny_backbone(stem=(64,), block="bottleneck_block", blocks=(1, 1, 1, 1)):
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=list(stem),
        input_conv_kernel_sizes=[7] if len(stem) == 1 else [3] * len(stem),
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=list(blocks),
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block,
        image_shape=(None, None, 3),
    )


@pytest.fixture(scope="module")
def tiny():
    """A small network with the official names, loaded with other weights each time."""
    return DANet(5, tiny_backbone(), preprocessing=None)


@pytest.fixture(scope="module")
def weights(tiny):
    """Official names and shapes for it, the values random."""
    return random_weights(tiny, OFFICIAL)


def random_weights(model, naming):
    variables, nameless = match_variables(model, naming)
    assert not nameless
    random = np.random.default_rng(5)
    found = {}
    for name, variable in variables.items():
        shape = their_shape(variable.shape)
        shape = (1,) if shape == () else shape
        found[name] = random.uniform(0.1, 1, shape).astype("float32")
        if name.endswith("running_mean"):
            counter = name.replace("running_mean", "num_batches_tracked")
            found[counter] = np.array(7)
    return found


def assert_holds(model, weights, naming=OFFICIAL):
    variables, _ = match_variables(model, naming)
    for name, variable in variables.items():
        actual = keras.ops.convert_to_numpy(variable)
        if actual.ndim == 4:
            actual = actual.transpose(3, 2, 0, 1)
        expected = np.asarray(weights[name], "float32").reshape(actual.shape)
        np.testing.assert_array_equal(actual, expected, err_msg=name)


def assert_refused(model, source, match=None, error=ValueError):
    """`source` raises, and the model is what it was."""
    before = model.get_weights()
    with pytest.raises(error, match=match) as caught:
        load_torch_weights(model, source)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return str(caught.value)


def write_zip(path, weights):
    return write_pth(path, weights)


def write_legacy(path, weights):
    return write_pth(path, weights, legacy=True, prefix="")


def write_safetensors(path, weights):
    safetensors.save_file(weights, path, metadata={"format": "pt"})
    return path


def write_npz(path, weights):
    with open(path, "wb") as file:
        np.savez(file, **weights)
    return path


def write_compressed_npz(path, weights):
    with open(path, "wb") as file:
        np.savez_compressed(file, **weights)
    return path


WRITERS = [write_zip, write_legacy, write_safetensors, write_npz, write_compressed_npz]
WITH_CHECKSUM = [write_zip, write_npz, write_compressed_npz]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format(write, tiny, weights, tmp_path):
    tiny.set_weights([0 * value for value in tiny.get_weights()])
    # The content tells the format, whatever the name.
    load_torch_weights(tiny, write(tmp_path / "checkpoint.bin", weights))
    assert_holds(tiny, weights)


def test_mappings(tiny, weights):
    for source in (
        weights,
        {"state_dict": weights, "epoch": 3},
        {"state_dict": {f"module.{name}": value for name, value in weights.items()}},
        {name: torch.from_numpy(np.array(value)) for name, value in weights.items()},
    ):
        tiny.set_weights([0 * value for value in tiny.get_weights()])
        load_torch_weights(tiny, source)
        assert_holds(tiny, weights)


def test_weights_are_no_view_of_the_source(tiny, weights):
    source = {name: np.array(value) for name, value in weights.items()}
    load_torch_weights(tiny, source)
    for value in source.values():
        value[...] = 0
    assert_holds(tiny, weights)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_precisions(dtype, tiny, weights, tmp_path):
    numpy_dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    rounded = {
        name: value.astype(numpy_dtype) if value.dtype == "float32" else value
        for name, value in weights.items()
    }
    load_torch_weights(tiny, write_safetensors(tmp_path / "rounded", rounded))
    assert_holds(tiny, rounded)
    tensors = {
        name: torch.from_numpy(np.array(value, "float32")).to(getattr(torch, dtype))
        for name, value in rounded.items()
    }
    torch.save(tensors, tmp_path / "rounded.pth")
    load_torch_weights(tiny, tmp_path / "rounded.pth")
    assert_holds(tiny, rounded)


def test_mmsegmentation_with_auxiliary_head(tmp_path):
    backbone = tiny_backbone((32, 32, 64))
    model = DANet(5, backbone, auxiliary_head=True, preprocessing=None)
    weights = random_weights(model, MMSEG)
    assert weights["decode_head.pam.gamma.scale"].shape == (1,)
    for head in ("pam", "cam"):
        scale = weights[f"decode_head.{head}.gamma.scale"]
        weights[f"decode_head.{head}.gamma.scale"] = scale.reshape(())
    load_torch_weights(model, write_legacy(tmp_path / "mmseg.pth", weights))
    assert_holds(model, weights, MMSEG)
    del weights["auxiliary_head.conv_seg.bias"]
    assert "auxiliary_head.conv_seg.bias" in assert_refused(model, weights)


def damaged(name, weights):
    """`weights` with one thing wrong, and what the error says of it."""
    found = dict(weights)
    kernel = "head.conv51.0.weight"
    variance = "pretrained.layer2.0.bn2.running_var"
    if name == "missing":
        del found[kernel]
        return found, "conv51"
    if name == "extra":
        found["head.conv9.weight"] = found[kernel]
        return found, "conv9"
    if name == "renamed":
        found["pretrained.layer1.0.bn1.weighs"] = found.pop(
            "pretrained.layer1.0.bn1.weight"
        )
        return found, r"(?s)bn1\.weight.*bn1\.weighs"
    if name == "half a prefix":
        found = {f"module.{key}": value for key, value in found.items()}
        found[f"nodule.{kernel}"] = found.pop(f"module.{kernel}")
        return found, "nodule"
    if name == "twice":
        found[f"module.{kernel}"] = found[kernel]
        return found, "twice"
    if name == "swapped shape":
        found["head.conv5a.0.weight"] = found["head.conv5a.0.weight"].swapaxes(0, 1)
        return found, r"expected \(64, 256, 3, 3\), received \(256, 64, 3, 3\)"
    if name == "NaN":
        found[kernel] = np.full_like(found[kernel], np.nan)
        return found, "NaN"
    if name == "infinite":
        found[kernel] = np.full_like(found[kernel], -np.inf)
        return found, "infinite"
    if name == "overflow":
        found[kernel] = np.full(found[kernel].shape, 1e60)
        return found, "infinite"
    if name == "negative variance":
        found[variance] = found[variance] - 0.5
        return found, "running_var.*negative"
    if name == "integers":
        found[kernel] = found[kernel].astype("int32")
        return found, "int32"
    raise AssertionError(name)


@pytest.mark.parametrize(
    "damage",
    [
        "missing",
        "extra",
        "renamed",
        "half a prefix",
        "twice",
        "swapped shape",
        "NaN",
        "infinite",
        "overflow",
        "negative variance",
        "integers",
    ],
)
def test_damage_is_refused_and_named(damage, tiny, weights):
    assert_refused(tiny, *damaged(damage, weights))


def test_the_likely_cause_is_told(tiny, weights):
    other = random_weights(DANet(7, tiny_backbone()), OFFICIAL)
    assert_refused(tiny, other, "head.conv8.1.weight: expected")
    deep = random_weights(DANet(5, tiny_backbone((64, 64, 128))), OFFICIAL)
    message = assert_refused(tiny, deep)
    assert "pretrained.conv1.weight" in message
    assert "pretrained.conv1.0.weight" in message
    bare = {
        name.removeprefix("pretrained."): value
        for name, value in weights.items()
        if name.startswith("pretrained.")
    }
    assert_refused(tiny, bare, "give `model.backbone`")
    assert_refused(tiny.backbone, weights, "(?s)the model lacks:.*head.conv51")
    load_torch_weights(tiny.backbone, bare)
    position = DANet(5, tiny_backbone(), attention="position")
    assert_refused(position, weights, "(?s)no official DANet.*head.sc.gamma")
    assert_refused(DFDAM(5, tiny_backbone()), weights, "no names for all variables")


def test_likely_cause_of_published_networks():
    model = DANet(5, "resnet_18")
    weights = random_weights(model, OFFICIAL)
    assert_refused(
        model,
        random_weights(DANet(7, "resnet_18"), OFFICIAL),
        "`num_classes` is 7 in the source, 5 in the model",
    )
    assert_refused(model.backbone, weights, "The model is no official DANet: it has no")
    del weights["head.conv6.1.bias"]
    assert_refused(model, weights, "(?s)agree.*head.conv6.1.bias")
    with pytest.raises(ValueError, match="`num_classes` is told by the tensors"):
        from_checkpoint(weights, num_classes=3)


def test_resnet_d_is_refused():
    model = DANet(5, tiny_backbone((32, 32, 64), "bottleneck_block_vd"))
    assert_refused(model, random_weights(model, MMSEG), "ResNet-D")


def test_unknown_networks(weights):
    for source, match in (
        ({"encoder.weight": np.ones(3)}, "none of the networks"),
        ({"epoch": 3, "model": weights}, 'its entry "state_dict"'),
        ({"state_dict": 5}, "holds no tensors"),
        ({}, "holds no tensors"),
        (weights, r"stages of \(1, 1, 1, 1\) blocks"),
        ({"pretrained.conv1.weight": np.ones((64, 3, 7, 7))}, "none of a known"),
        ({"head.sc.gamma": np.ones(1)}, "no stem .'pretrained.conv1.weight' or "),
    ):
        with pytest.raises(ValueError, match=match):
            from_checkpoint(source)
    with pytest.raises(TypeError, match="path, or a mapping"):
        from_checkpoint(42)


class _Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_never_run(legacy, tiny, weights, tmp_path):
    trace = tmp_path / "trace"
    checkpoint = {
        "state_dict": {name: torch.tensor(value) for name, value in weights.items()},
        "meta": _Intruder(trace),
    }
    path = tmp_path / "intruder.pth"
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    assert_refused(tiny, path, r"nothing of it was run: its pickle asks for .*mkdir")
    assert not trace.exists()
    checkpoint["meta"] = argparse.Namespace(lr=0.1)
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    assert_refused(tiny, path, "asks for argparse.Namespace")
    checkpoint["meta"] = np.float32(0.5)
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    assert_refused(tiny, path, "asks for numpy.dtypes.Float32DType")


def test_plain_pickles_are_never_opened(tiny, tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(_Intruder(trace)))
    assert_refused(tiny, path, "plain pickle")
    np.savez(tmp_path / "objects.npz", a=np.array([_Intruder(trace)], dtype=object))
    assert_refused(tiny, tmp_path / "objects.npz", "no plain array")
    assert not trace.exists()


def _keras_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


def _nested_header(path):
    header = b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def _torch_script(path):
    module = torch.nn.Linear(2, 2)
    torch.jit.save(torch.jit.trace(module, torch.ones(1, 2)), path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "write,match",
    [
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_text("DANet, 79.93 mIoU\n"), "it is a text file"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html>"), "it is a web page"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "HDF5"),
        (lambda path: path.write_bytes(os.urandom(8) + b"x" * 50), "its format"),
        (lambda path: path.write_bytes(b"\x01\0\0\0\0\0\0\0{"), "no safetensors file"),
        (_nested_header, "no safetensors file"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), "zip records"),
        (lambda path: path.mkdir(), "a folder was given"),
        (_keras_file, "load_model"),
        (_torch_script, "TorchScript"),
        (lambda path: torch.save([1, 2], path), "does not hold a mapping"),
        (lambda path: torch.save({"a": 3}, path), "not every entry is a tensor"),
    ],
)
def test_wrong_files_are_told_apart(write, match, tiny, tmp_path):
    write(tmp_path / "wrong.pth")
    assert_refused(tiny, tmp_path / "wrong.pth", match)


def test_absent_file(tiny, tmp_path):
    missing = tmp_path / "missing.pth"
    assert_refused(tiny, missing, "no such file", FileNotFoundError)


@pytest.mark.parametrize("write", WRITERS)
def test_truncated_files(write, tiny, weights, tmp_path):
    content = write(tmp_path / "whole", weights).read_bytes()
    for part in (0.001, 0.3, 0.9, 0.999999):
        (tmp_path / "part").write_bytes(content[: int(part * len(content))])
        assert_refused(tiny, tmp_path / "part")


@pytest.mark.parametrize("write", WITH_CHECKSUM)
def test_a_flipped_bit_in_a_weight_is_found(write, tiny, weights, tmp_path):
    path = write(tmp_path / "whole", weights)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
    random = np.random.default_rng(1)
    start = largest.header_offset + 200
    for place in random.integers(start, start + largest.compress_size - 200, 5):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        assert_refused(tiny, path, "damaged")


def flip(content, random):
    """One byte or one bit changed somewhere: anywhere, or near the structure."""
    flipped = bytearray(content)
    edge = 4000
    regions = [(0, len(content)), (0, edge), (len(content) - edge, len(content))]
    low, high = regions[random.integers(3)]
    place = int(random.integers(low, high))
    flipped[place] ^= int(random.choice([1 << random.integers(8), 255]))
    return bytes(flipped), place


def survive(model, path, weights, flipped, has_checksum):
    """An error and an unchanged model, or exactly the right weights."""
    zeros = [0 * value for value in model.get_weights()]
    model.set_weights(zeros)
    path.write_bytes(flipped)
    try:
        load_torch_weights(model, path)
    except ValueError:
        for old, new in zip(zeros, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        return "refused"
    if has_checksum:
        assert_holds(model, weights)
        return "right"
    different = _changed_values(model, weights)
    assert different <= 1, "damage outside the tensors' data went unseen"
    return "one value changed, no checksum" if different else "right"


def _changed_values(model, weights):
    variables, _ = match_variables(model, OFFICIAL)
    count = 0
    for name, variable in variables.items():
        expected = np.asarray(weights[name])
        actual = keras.ops.convert_to_numpy(variable)
        if actual.ndim == 4:
            actual = actual.transpose(3, 2, 0, 1)
        count += int((actual.reshape(expected.shape) != expected).sum())
    return count


def flip_many(model, weights, tmp_path, per_format):
    random = np.random.default_rng(0)
    outcomes = {}
    for write in WRITERS:
        path = write(tmp_path / "whole", weights)
        content = path.read_bytes()
        for _ in range(per_format):
            flipped, place = flip(content, random)
            outcome = survive(model, path, weights, flipped, write in WITH_CHECKSUM)
            key = (write.__name__, outcome)
            outcomes[key] = outcomes.get(key, 0) + 1
    return outcomes


def test_flipped_bytes(tiny, weights, tmp_path):
    outcomes = flip_many(tiny, weights, tmp_path, per_format=6)
    assert sum(outcomes.values()) == 6 * len(WRITERS)


@pytest.mark.proof
def test_many_flipped_bytes(tiny, weights, tmp_path):
    outcomes = flip_many(tiny, weights, tmp_path, per_format=200)
    print()
    for key, count in sorted(outcomes.items()):
        print(*key, count, sep=" | ")


def test_only_pytorch_files_need_torch(weights, tmp_path, monkeypatch):
    paths = [
        write(tmp_path / write.__name__, weights)
        for write in (write_zip, write_legacy, write_safetensors, write_npz)
    ]
    monkeypatch.setitem(sys.modules, "torch", None)
    for path in paths[:2]:
        with (
            pytest.raises(ImportError, match=r"keras-danet\[torch\]"),
            open_tensors(path),
        ):
            pass
    for path in paths[2:]:
        with open_tensors(path) as tensors:
            name = "head.conv51.0.weight"
            np.testing.assert_array_equal(tensors.read(name), weights[name])


def test_nothing_is_left_behind(tiny, weights, tmp_path, monkeypatch):
    """The temporary copy of a legacy file goes, after an error too."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = write_legacy(tmp_path / "legacy.pth", weights)
    load_torch_weights(tiny, path)
    broken, match = damaged("negative variance", weights)
    assert_refused(tiny, write_legacy(path, broken), match)
    assert not list((tmp_path / "temporary").iterdir())


def test_in_memory_file_is_no_source(tiny):
    assert_refused(tiny, io.BytesIO(b""), "path, or a mapping", TypeError)


@pytest.fixture(scope="module")
def large():
    """State dict of the published network: official, ResNet-101, 19 classes."""
    with torch.no_grad():
        module = torch_danet.randomize(torch_danet.OfficialDANet(19, 101))
    return {name: value.numpy() for name, value in module.state_dict().items()}


@pytest.mark.proof
@pytest.mark.parametrize(
    "write", [write_zip, write_legacy, write_safetensors, write_npz]
)
def test_memory_of_loading(write, large, tmp_path):
    """See proof/checkpoints.md."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.checkpoint_memory", write(tmp_path / "x", large)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(result.stdout.splitlines()[-1])
    print(write.__name__, found)
    assert found["peak"] < 2.5 * found["file"]
