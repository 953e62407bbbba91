"""DAFM and PAM2D against float64 numbers of the reference, values and gradients."""

import keras
import numpy as np
import pytest

from keras_danet.layers import DAFM, PAM2D, BilinearResize
from tests.gradients import gradients
from tests.shared import SHARED, needs_shared

to_numpy = keras.ops.convert_to_numpy

DAFM_NAMES = {
    "low_hidden": "low_fc1",
    "low_gate": "low_fc2",
    "high_hidden": "high_fc1",
    "high_gate": "high_fc2",
    "low_conv": "low_conv",
    "high_conv": "high_conv",
    "low_bn": "low_bn",
    "high_bn": "high_bn",
}
PAM2D_NAMES = {name: name for name in ("conv1", "conv2", "conv3", "bn1", "bn2")}
SUFFIXES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "mean",
    "moving_variance": "var",
}


def nhwc(array):
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


def keras_weight(array):
    """OIHW or (out, in) -> HWIO or (in, out)."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim)
    return array if axes is None else array.transpose(axes)


def theirs(variable, names):
    layer, weight = variable.path.split("/")[-2:]
    return f"w_{names[layer]}_{SUFFIXES[weight]}"


def relative(found, expected):
    scale = np.abs(expected).max()
    return (
        np.abs(found - expected).max() / scale if scale > 1e-8 else np.abs(found).max()
    )


@needs_shared
@pytest.mark.parametrize("case", ["a", "b"])
@pytest.mark.parametrize("kind", ["dafm", "pam2d"])
def test_values_and_gradients(kind, case):
    data = np.load(SHARED / f"fixtures/dfdam_modules/{kind}_{case}.npz")
    keys = ("low", "high") if kind == "dafm" else ("spatial", "context")
    inputs = [nhwc(data[f"in_{key}"]).astype("float32") for key in keys]
    names = DAFM_NAMES if kind == "dafm" else PAM2D_NAMES
    if kind == "dafm":
        layer = DAFM(filters=data["out_out"].shape[1])
    else:
        layer = PAM2D(filters=data["w_conv1_weight"].shape[0])
    layer.build([x.shape for x in inputs])
    for variable in layer.variables:
        variable.assign(keras_weight(data[theirs(variable, names)]))

    output, scores = layer(inputs, return_attention_scores=True)
    assert relative(to_numpy(output), nhwc(data["out_out"])) < 1e-4
    if kind == "dafm":
        for score, key in zip(scores, ("low", "high"), strict=True):
            assert relative(to_numpy(score), data[f"out_score_{key}"]) < 1e-4
    else:
        assert relative(to_numpy(scores), nhwc(data["out_score"])) < 1e-4

    weight = nhwc(data["loss_weight"]).astype("float32")

    def total(*inputs):
        return keras.ops.sum(layer(list(inputs)) * keras.ops.convert_to_tensor(weight))

    weights = layer.trainable_variables
    found = gradients(total, weights, inputs)
    for variable, gradient in zip(weights, found, strict=False):
        expected = keras_weight(data[f"grad_{theirs(variable, names)}"])
        assert relative(gradient, expected) < 1e-4, variable.path
    for key, gradient in zip(keys, found[len(weights) :], strict=True):
        assert relative(gradient, nhwc(data[f"grad_in_{key}"])) < 1e-4, key


@pytest.mark.parametrize("layer", [DAFM(32), PAM2D(16)])
def test_shapes_config_and_saving(layer, tmp_path):
    inputs = [keras.Input((None, None, 24)), keras.Input((None, None, 24))]
    symbolic, scores = layer(inputs, return_attention_scores=True)
    model = keras.Model(inputs, layer(inputs))
    values = [np.random.default_rng(i).normal(size=(2, 6, 7, 24)) for i in (0, 1)]
    output = model.predict(values, verbose=0)
    assert symbolic.shape[-1] == output.shape[-1]
    assert len(keras.tree.flatten(scores)) == (2 if isinstance(layer, DAFM) else 1)
    model.save(tmp_path / "layer.keras")
    loaded = keras.saving.load_model(tmp_path / "layer.keras")
    np.testing.assert_allclose(loaded.predict(values, verbose=0), output, atol=1e-6)
    assert (
        type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    )


def test_errors():
    with pytest.raises(ValueError, match="one height and width"):
        PAM2D().build([(None, 8, 8, 4), (None, 4, 4, 4)])
    with pytest.raises(ValueError, match=r"\(B, H, W, C\)"):
        DAFM().build([(None, 8, 4), (None, 4, 4, 4)])
    feature = np.zeros((1, 8, 8, 4), "float32")
    for layer in (DAFM(), PAM2D(), BilinearResize()):
        for wrong in (feature, [feature], [feature] * 3):
            with pytest.raises(ValueError, match="list of two feature maps.*Received"):
                layer(wrong)
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            DAFM().build([(None, 8, 8, 4), (None, 4, 4, 4)])
    finally:
        keras.config.set_image_data_format("channels_last")
