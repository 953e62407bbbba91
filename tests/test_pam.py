"""PAM equals the official module, value and gradient, and keeps its promises."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.layers.cam import CAM
from keras_danet.layers.pam import PAM
from tests.gradients import gradients
from tests.modules import features, official, relative_error, saved_and_loaded
from tests.shared import needs_shared

CASES = ["pam_1x64x12x15", "pam_2x32x9x9"]
BLOCKS = [None, "auto", 50]


def random_pam(channels, gamma=0.7, **kwargs):
    """A built PAM with random biases and the given gamma."""
    layer = PAM(**kwargs)
    layer.build((None, None, None, channels))
    for index, part in enumerate((layer.query, layer.key, layer.value)):
        part.bias.assign(features(*part.bias.shape, scale=0.3, seed=index))
    layer.gamma.assign(gamma)
    return layer


def official_pam(case, block_size):
    """The layer with the official module's weights, and [(variable, key)]."""
    layer = PAM(block_size=block_size)
    layer.build(case["x"].shape)
    pairs = [(layer.gamma, "gamma")]
    for name in ("query", "key", "value"):
        part = getattr(layer, name)
        pairs += [
            (part.kernel, f"{name}_conv.weight"),
            (part.bias, f"{name}_conv.bias"),
        ]
    for variable, key in pairs:
        variable.assign(case[f"param_{key}"].reshape(variable.shape))
    return layer, pairs


@needs_shared
@pytest.mark.parametrize("block_size", BLOCKS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_scores_are_the_official_ones(name, block_size):
    case = official(name)
    layer, _ = official_pam(case, block_size)
    x = case["x"].astype("float32")
    output, scores = layer(x, return_attention_scores=True)
    assert relative_error(layer(x), case["out"]) <= 1e-5
    assert relative_error(output, case["out"]) <= 1e-5
    assert relative_error(scores, case["attention"]) <= 1e-4


@needs_shared
@pytest.mark.parametrize("block_size", BLOCKS)
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_the_official_ones(name, block_size):
    case = official(name)
    layer, pairs = official_pam(case, block_size)
    weight = ops.convert_to_tensor(case["loss_weight"], "float32")
    found = gradients(
        lambda x: ops.sum(layer(x) * weight),
        [variable for variable, _ in pairs],
        case["x"].astype("float32"),
    )
    expected = [case[f"grad_{key}"] for _, key in pairs] + [case["grad_x"]]
    names = [key for _, key in pairs] + ["x"]
    for key, actual, wanted in zip(names, found, expected, strict=True):
        if key == "key_conv.bias":  # shifts every row alike: no effect, no gradient
            assert np.abs(actual).max() <= 1e-5
        else:
            assert relative_error(actual, wanted) <= 1e-4, key


def test_gamma_zero_is_the_identity():
    x = features(2, 5, 7, 16)
    assert np.array_equal(ops.convert_to_numpy(PAM()(x)), x)


def test_permuting_positions_permutes_the_output():
    layer = random_pam(16)
    x = features(1, 6, 7, 16)
    order = np.random.default_rng(2).permutation(42)

    def permute(array):
        return array.reshape(1, 42, 16)[:, order].reshape(1, 6, 7, 16)

    expected = permute(ops.convert_to_numpy(layer(x)))
    assert relative_error(layer(permute(x)), expected) <= 1e-5


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64"])
def test_positions_of_any_integer_type(dtype):
    layer, x = random_pam(16), features(1, 16, 24, 16)
    positions = np.array([[15, 23], [12, 3]], dtype)
    _, scores = layer(x, return_attention_scores=True)
    expected = ops.convert_to_numpy(scores)[:, [15 * 24 + 23, 12 * 24 + 3]]
    actual = ops.convert_to_numpy(layer.attention_scores(x, positions))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("block_size", BLOCKS)
def test_an_empty_batch(block_size):
    empty = np.zeros((0, 8, 8, 16), "float32")
    for layer in (random_pam(16, block_size=block_size), CAM()):
        assert layer(empty).shape == (0, 8, 8, 16)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of PyTorch's products")
@pytest.mark.parametrize("kind", ["pam", "cam"])
def test_gradients_of_gradients(kind):
    import torch

    layer = random_pam(16, block_size=None) if kind == "pam" else CAM()
    if kind == "cam":
        layer.build((None, None, None, 16))
        layer.gamma.assign(0.7)
    x = torch.tensor(features(1, 4, 5, 16), requires_grad=True)
    direction = torch.tensor(features(1, 4, 5, 16, seed=1))

    def gradient(x):
        output = layer(x)
        return torch.autograd.grad((output**3).sum(), x, create_graph=True)[0]

    product = torch.autograd.grad((gradient(x) * direction).sum(), x)[0]
    step = 1e-2
    there, back = (
        gradient((x + sign * step * direction).detach().requires_grad_())
        for sign in (1, -1)
    )
    expected = (there - back).detach() / (2 * step)
    assert float((product - expected).norm() / expected.norm()) < 1e-2


def test_rows_of_the_scores_sum_to_one():
    scores = random_pam(16)(features(2, 5, 7, 16), return_attention_scores=True)[1]
    rows = ops.convert_to_numpy(ops.sum(scores, axis=-1))
    assert rows.shape == (2, 35)
    np.testing.assert_allclose(rows, 1.0, atol=1e-6)


def test_one_layer_takes_maps_of_any_size():
    inputs = keras.Input((None, None, 16))
    output, scores = PAM()(inputs, return_attention_scores=True)
    assert output.shape == (None, None, None, 16)
    assert scores.shape == (None, None, None)
    model = keras.Model(inputs, random_pam(16)(inputs))
    for height, width in ((1, 1), (3, 8), (9, 5)):
        found = model.predict(features(2, height, width, 16), verbose=0)
        assert found.shape == (2, height, width, 16)


def test_static_shapes():
    output, scores = PAM()(keras.Input((4, 6, 16)), return_attention_scores=True)
    assert output.shape == (None, 4, 6, 16)
    assert scores.shape == (None, 24, 24)


def test_saved_and_loaded_model_gives_the_same(tmp_path):
    inputs = keras.Input((None, None, 16))
    model = keras.Model(inputs, random_pam(16, reduction=4, block_size=10)(inputs))
    loaded = saved_and_loaded(model, tmp_path)
    x = features(2, 5, 7, 16)
    assert loaded.layers[-1].reduction == 4
    assert loaded.layers[-1].block_size == 10
    assert relative_error(loaded(x), ops.convert_to_numpy(model(x))) <= 1e-6


def test_narrow_features_keep_one_query_channel():
    layer = random_pam(4)
    assert layer.query.filters == layer.key.filters == 1
    assert layer(features(1, 3, 3, 4)).shape == (1, 3, 3, 4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("block_size", [None, 10])
def test_mixed_precision_keeps_scores_in_float32(policy, block_size):
    plain = random_pam(16, dtype="float32")
    mixed = random_pam(16, dtype=policy, block_size=block_size)
    mixed.set_weights(plain.get_weights())
    x = features(2, 5, 7, 16)
    output, scores = mixed(x, return_attention_scores=True)
    assert keras.backend.standardize_dtype(mixed(x).dtype) == mixed.compute_dtype
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    expected = ops.convert_to_numpy(plain(x))
    for found in (output, mixed(x)):
        assert relative_error(ops.cast(found, "float32"), expected) <= 2e-2


def test_energies_past_the_float16_range_stay_finite():
    layer = random_pam(16, dtype="mixed_float16")
    x = features(1, 5, 7, 16, scale=600.0)
    output, scores = layer(x, return_attention_scores=True)
    assert np.isfinite(ops.convert_to_numpy(scores)).all()
    assert np.isfinite(ops.convert_to_numpy(ops.cast(output, "float32"))).all()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"reduction": 0},
        {"reduction": 2.5},
        {"block_size": 0},
        {"block_size": "dense"},
        {"block_size": True},
    ],
)
def test_bad_arguments_are_refused(kwargs):
    with pytest.raises(ValueError, match=f"Received: {next(iter(kwargs))}="):
        PAM(**kwargs)


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="ndim=4"):
        PAM()(features(2, 5, 16))
    with pytest.raises(ValueError, match="known C"):
        PAM()(keras.Input((4, 4, None)))


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            PAM()(features(2, 5, 7, 16))
    finally:
        keras.config.set_image_data_format("channels_last")
