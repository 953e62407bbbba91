"""The reference's weights and numbers, and real checkpoint files made of them."""

import importlib.util
import json

import keras
import numpy as np

from tests.shared import SHARED

# Head: its name in the fixtures.
HEADS = {"fused": "fused", "position": "pam", "channel": "cam", "auxiliary": "aux"}


def fixture(*parts):
    """Path of a file among the fixtures."""
    return SHARED.joinpath("fixtures", *parts)


def reference_weights(name):
    """Dict of tensor name -> array of a fixture's model, checked by its fingerprint."""
    path = fixture("fixture_weights.py")
    spec = importlib.util.spec_from_file_location("fixture_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = module.load(fixture(name, "weights.json"))
    meta = json.loads(fixture(name, "meta.json").read_text())
    expected = meta.get("weights_checksum_sum_abs")
    if expected is not None:
        np.testing.assert_allclose(module.checksum(weights), expected, rtol=1e-12)
    return weights


def write_pth(path, weights, legacy=False, prefix="module."):
    """A file as the official training script saves one."""
    import torch

    state_dict = {
        f"{prefix}{name}": torch.from_numpy(np.array(value))
        for name, value in weights.items()
    }
    checkpoint = {
        "epoch": 239,
        "state_dict": state_dict,
        "optimizer": {
            "state": {0: {"momentum_buffer": torch.ones(3)}},
            "param_groups": [{"lr": 0.003, "params": [0]}],
        },
        "best_pred": np.float64(0.7993),
    }
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    return path


def channels_last(array):
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def logits_model(model):
    """A model of all heads' logits, at feature size and at the image's."""
    return keras.Model(
        model.inputs[0],
        {
            f"{head}_{stage}": model.get_layer(f"{head}_{stage}").output
            for head in model.heads
            for stage in ("logits", "resize")
        },
    )


def largest_difference(actual, expected):
    """Largest absolute difference between (B, H, W, C) and the reference's NCHW."""
    actual = keras.ops.convert_to_numpy(actual)
    expected = expected.transpose(0, 2, 3, 1)
    assert actual.shape == expected.shape
    return np.abs(actual.astype("float64") - expected).max()
