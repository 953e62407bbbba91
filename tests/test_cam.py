"""CAM equals the official module, value and gradient, and keeps its promises."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.layers import cam
from keras_danet.layers.cam import CAM, channel_attention, channel_attention_scores
from tests.gradients import gradients
from tests.modules import features, official, relative_error, saved_and_loaded
from tests.shared import needs_shared

CASES = ["cam_1x64x12x15", "cam_2x32x9x9"]


def random_cam(channels, gamma=0.6, **kwargs):
    """A built CAM with the given gamma."""
    layer = CAM(**kwargs)
    layer.build((None, None, None, channels))
    layer.gamma.assign(gamma)
    return layer


def oracle(x, gamma, sign):
    """CAM in NumPy float64; `sign` -1 for softmax(max - E), 1 for softmax(E)."""
    batch, height, width, channels = x.shape
    flat = x.astype("float64").reshape(batch, height * width, channels)
    energy = sign * np.einsum("bni,bnj->bij", flat, flat)
    scores = np.exp(energy - energy.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    attended = np.einsum("bij,bnj->bni", scores, flat).reshape(x.shape)
    return gamma * attended + x, scores


@needs_shared
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_the_official_ones(name):
    case = official(name)
    x = case["x"].astype("float32")
    layer = random_cam(x.shape[-1], gamma=case["param_gamma"][0])
    output, scores = layer(x, return_attention_scores=True)
    assert relative_error(output, case["out"]) <= 1e-5
    assert relative_error(layer(x), case["out"]) <= 1e-5
    assert relative_error(scores, case["attention"]) <= 1e-4
    weight = ops.convert_to_tensor(case["loss_weight"], "float32")
    found = gradients(lambda x: ops.sum(layer(x) * weight), [layer.gamma], x)
    assert relative_error(found[0], case["grad_gamma"]) <= 1e-4
    assert relative_error(found[1], case["grad_x"]) <= 1e-4


@pytest.mark.parametrize("energy, sign", [("released", -1), ("paper", 1)])
def test_both_energies_equal_the_numpy_truth(energy, sign):
    x = features(2, 4, 5, 12, scale=0.5)
    expected, expected_scores = oracle(x, 0.6, sign)
    output, scores = random_cam(12, energy=energy)(x, return_attention_scores=True)
    assert relative_error(output, expected) <= 1e-5
    assert relative_error(scores, expected_scores) <= 1e-4
    flat = x.reshape(2, 20, 12)
    attended = channel_attention(ops.convert_to_tensor(flat), energy)
    wanted = (expected - x).reshape(2, 20, 12) / 0.6
    assert relative_error(attended, wanted) <= 1e-5


def test_gamma_zero_is_the_identity():
    x = features(2, 5, 7, 16)
    assert np.array_equal(ops.convert_to_numpy(CAM()(x)), x)


def test_permuting_positions_permutes_the_output():
    layer = random_cam(16)
    x = features(1, 6, 7, 16)
    order = np.random.default_rng(2).permutation(42)

    def permute(array):
        return array.reshape(1, 42, 16)[:, order].reshape(1, 6, 7, 16)

    expected = permute(ops.convert_to_numpy(layer(x)))
    assert relative_error(layer(permute(x)), expected) <= 1e-4


@pytest.mark.parametrize("energy", ["released", "paper"])
def test_rows_of_the_scores_sum_to_one(energy):
    # 60,000 positions of scale 4: energies near 10^6, far beyond float16
    flat = ops.convert_to_tensor(features(1, 60_000, 4, scale=4.0))
    scores = ops.convert_to_numpy(channel_attention_scores(flat, energy))
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(-1), 1.0, atol=1e-6)


def test_any_size_and_static_shapes():
    inputs = keras.Input((None, None, 16))
    output, scores = CAM()(inputs, return_attention_scores=True)
    assert output.shape == (None, None, None, 16)
    assert scores.shape == (None, 16, 16)
    model = keras.Model(inputs, random_cam(16)(inputs))
    for height, width in ((1, 1), (3, 8), (9, 5)):
        found = model.predict(features(2, height, width, 16), verbose=0)
        assert found.shape == (2, height, width, 16)


def test_saved_and_loaded_model_gives_the_same(tmp_path):
    inputs = keras.Input((None, None, 16))
    model = keras.Model(inputs, random_cam(16, energy="paper")(inputs))
    loaded = saved_and_loaded(model, tmp_path)
    x = features(2, 5, 7, 16)
    assert loaded.layers[-1].energy == "paper"
    assert relative_error(loaded(x), ops.convert_to_numpy(model(x))) <= 1e-6


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_scores_in_float32(policy):
    x = features(2, 5, 7, 16).astype("float16").astype("float32")
    layer = random_cam(16, dtype=policy)
    output, scores = layer(x, return_attention_scores=True)
    assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    rounded = ops.cast(ops.cast(x, layer.compute_dtype), "float32")
    expected, expected_scores = oracle(ops.convert_to_numpy(rounded), 0.6, -1)
    assert relative_error(scores, expected_scores) <= 1e-4
    assert relative_error(ops.cast(output, "float32"), expected) <= 1e-2


def test_energies_past_the_float16_range_stay_finite():
    layer = random_cam(8, dtype="mixed_float16")
    x = features(1, 9, 9, 8, scale=90.0)
    output, scores = layer(x, return_attention_scores=True)
    assert np.isfinite(ops.convert_to_numpy(scores)).all()
    assert np.isfinite(ops.convert_to_numpy(ops.cast(output, "float32"))).all()


def test_bad_arguments_and_inputs_are_refused():
    with pytest.raises(ValueError, match="Received: energy='official'"):
        CAM(energy="official")
    with pytest.raises(ValueError, match="ndim=4"):
        CAM()(features(2, 5, 16))
    with pytest.raises(ValueError, match="known C"):
        CAM()(keras.Input((4, 4, None)))


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            CAM()(features(2, 5, 7, 16))
    finally:
        keras.config.set_image_data_format("channels_last")


def test_output_is_the_same_where_the_sum_is_not_folded_in(monkeypatch):
    layer = random_cam(16)
    x = features(2, 5, 7, 16)
    folded = ops.convert_to_numpy(layer(x))
    monkeypatch.setattr(cam, "_on_cpu", lambda features: False)
    assert relative_error(layer(x), folded) <= 1e-6
    assert np.array_equal(ops.convert_to_numpy(CAM()(x)), x)
