"""explain, ablate and AttentionHealth on small models with the named layers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.ablation import ablate
from keras_danet.attention_health import AttentionHealth
from keras_danet.attention_probe import AttentionProbe
from keras_danet.explanation import explain
from tests.toy import tiny_danet, tiny_dfdam


@pytest.fixture
def image():
    return np.random.default_rng(2).integers(0, 256, (40, 56, 3), "uint8")


def run(layer, features):
    """(output, scores) of a layer in NumPy, the dense way."""
    inputs = keras.tree.map_structure(ops.convert_to_tensor, features)
    result = layer(inputs, return_attention_scores=True)
    return keras.tree.map_structure(ops.convert_to_numpy, result)


def test_rows_equal_those_of_the_dense_map(image):
    model = tiny_danet()
    points = [(0, 0), (7, 8), (20, 33), (39, 55)]
    seen = explain(model, image, points)
    layer = model.get_layer("position_attention")
    features = keras.Model(model.input, layer.input).predict(image[None], verbose=0)
    _, scores = run(layer, features)  # (1, N, N), on a map of 5 x 7 cells of 8 x 8
    assert seen.position_maps.shape == (4, 5, 7)
    for (row, column), found in zip(points, seen.position_maps, strict=True):
        cell = (row // 8) * 7 + column // 8
        np.testing.assert_allclose(found.ravel(), scores[0, cell], atol=1e-6)
    np.testing.assert_allclose(seen.position_maps.sum((1, 2)), 1, atol=1e-5)
    assert seen.points == points
    logits = model.predict(image[None], verbose=0)[0]
    np.testing.assert_array_equal(seen.labels, logits.argmax(-1))


def test_only_the_asked_rows_are_computed(image, monkeypatch):
    """The dense map of 1024x2048 pixels at stride 8 would take 4 GB."""
    model = tiny_danet()
    layer = model.get_layer("position_attention")
    asked = []
    original = type(layer).attention_scores

    def spy(self, features, positions):
        asked.append(np.asarray(positions).tolist())
        return original(self, features, positions)

    monkeypatch.setattr(type(layer), "attention_scores", spy)
    seen = explain(model, np.zeros((256, 512, 3), "uint8"), [(100, 300)])
    assert asked == [[[12, 37]]]
    assert seen.position_maps.shape == (1, 32, 64)


def test_channel_maps_are_the_channels_after_the_module(image):
    model = tiny_danet()
    seen = explain(model, image, channels=[3, 1])
    layer = model.get_layer("channel_attention")
    features = keras.Model(model.input, layer.input).predict(image[None], verbose=0)
    output, scores = run(layer, features)
    assert seen.channels == [3, 1]
    np.testing.assert_allclose(seen.channel_maps[0], output[0, ..., 3], atol=1e-5)
    np.testing.assert_allclose(seen.channel_maps[1], output[0, ..., 1], atol=1e-5)
    np.testing.assert_allclose(seen.channel_scores, scores[0], atol=1e-6)
    most = explain(model, image, channels=2).channels
    spread = output[0].std(axis=(0, 1))
    assert most == spread.argsort()[::-1][:2].tolist()
    assert seen.gammas == pytest.approx(
        {"position_attention": 0.7, "channel_attention": 0.6}
    )
    assert seen.low_weights is None and seen.confidence is None


def test_gates_and_confidence_of_dfdam(image):
    model = tiny_dfdam()
    seen = explain(model, image)
    probe = AttentionProbe(model)(image[None])
    _, (low, high) = run(model.get_layer("dafm"), probe["dafm"])
    _, score = run(model.get_layer("pam2d"), probe["pam2d"])
    np.testing.assert_allclose(seen.low_weights, low[0], atol=1e-6)
    np.testing.assert_allclose(seen.high_weights, high[0], atol=1e-6)
    np.testing.assert_allclose(seen.confidence, score[0, ..., 0], atol=1e-6)
    assert seen.low_weights.shape == (16,) and seen.confidence.shape == (20, 28)
    assert seen.position_maps is None and seen.gammas == {}


@pytest.mark.parametrize("build, panels", [(tiny_danet, 7), (tiny_dfdam, 4)])
def test_plot_shows_everything(build, panels, image, tmp_path):
    points = [(3, 4), (30, 40)] if build is tiny_danet else None
    figure = explain(build(), image, points).plot(tmp_path / "new" / "seen.png")
    drawn = [ax for ax in figure.axes if ax.has_data() and ax.get_title()]
    assert len(drawn) == panels
    assert (tmp_path / "new" / "seen.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "points", [[(40, 0)], [(0, -1)], [(1.5, 2)], [3, 4], [(1, 2, 3)], []]
)
def test_points_outside_the_image(points, image):
    with pytest.raises(ValueError, match="40 rows and 56 columns.*Received: points"):
        explain(tiny_danet(), image, points)


def test_models_without_attention_and_channels_that_are_not_there(image):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
    for call in (
        lambda: explain(model, image),
        lambda: ablate(model, [(image, image[..., 0])]),
        lambda: AttentionHealth(image[None]).set_model(model),
    ):
        with pytest.raises(ValueError, match="position_attention, channel_attention"):
            call()
    with pytest.raises(ValueError, match="channels 0 to 15.*16"):
        explain(tiny_danet(), image, channels=[16])


def switched(model, names):
    """The same network with the named modules gone, by new weights."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name in names:
        layer = copy.get_layer(name)
        if hasattr(layer, "gamma"):
            layer.gamma.assign(0.0)
            continue
        for gate in (
            [layer.conv3] if name == "pam2d" else [layer.low_gate, layer.high_gate]
        ):
            gate.kernel.assign(ops.zeros_like(gate.kernel))
            gate.bias.assign(ops.full_like(gate.bias, 60.0))
    return copy


@pytest.mark.parametrize("build", [tiny_danet, tiny_dfdam])
def test_ablate_switches_each_module_off_and_on_again(build, image):
    from keras_danet.evaluation import evaluate

    model = build()
    label = model.predict(image[None], verbose=0)[0].argmax(-1)
    data = [(image, label)]
    before = model.get_weights()
    results = ablate(model, data, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    first, second = AttentionProbe(model).layers
    both = f"{first} + {second}"
    assert list(results) == ["none", first, second, both]
    assert results["none"].mean_iou == 1.0
    for off in (first, second, both):
        expected = evaluate(switched(model, off.split(" + ")), data, verbose=0)
        np.testing.assert_array_equal(
            results[off].confusion_matrix, expected.confusion_matrix
        )
    assert results[both].mean_iou < 1.0


def test_ablate_gives_the_weights_back_after_an_error(image):
    model = tiny_danet()
    with pytest.raises(ValueError, match="label map 0"):
        ablate(model, [(image, np.full((40, 56), 9))], verbose=0)
    assert float(ops.convert_to_numpy(model.get_layer("channel_attention").gamma)) > 0.5
    with pytest.raises(ValueError, match="used up"):
        ablate(model, iter([(image, image[..., 0] // 64)]))


def entropy(scores):
    return -(scores * np.log(scores)).sum(-1).mean() / np.log(scores.shape[-1])


def test_attention_health_is_logged_every_epoch(tmp_path):
    model = tiny_danet()
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 24, 3)).astype("float32")
    labels = np.random.default_rng(1).integers(0, 5, (4, 16, 24))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    health = AttentionHealth(images[:2], positions=1000)
    history = model.fit(
        images,
        labels,
        epochs=2,
        verbose=0,
        callbacks=[health, keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))],
    ).history
    position, channel = AttentionProbe(model).layers.values()
    seen = AttentionProbe(model)(images[:2])
    expected = {
        "position_attention_gamma": float(ops.convert_to_numpy(position.gamma)),
        "channel_attention_gamma": float(ops.convert_to_numpy(channel.gamma)),
        "position_attention_entropy": entropy(
            run(position, seen["position_attention"])[1]
        ),
        "channel_attention_entropy": entropy(
            run(channel, seen["channel_attention"])[1]
        ),
    }
    for name, value in expected.items():
        assert history[name][1] == pytest.approx(value, abs=1e-5), name
        assert len(history[name]) == 2
    assert (
        history["position_attention_gamma"][0] != history["position_attention_gamma"][1]
    )
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert set(expected) <= set(header.split(","))


def test_saturation_of_the_gates():
    model = tiny_dfdam()
    health = AttentionHealth(np.zeros((1, 16, 16, 3), "uint8"))
    health.set_model(model)
    assert health.measure()["dafm_saturation"] == 0
    gate = model.get_layer("dafm").low_gate
    gate.bias.assign(ops.full_like(gate.bias, -9.0))  # one of the two vectors
    values = health.measure()
    assert values["dafm_saturation"] == pytest.approx(0.5)
    assert 0 <= values["pam2d_saturation"] <= 1 and 0 < values["pam2d_mean"] < 1
    with pytest.raises(ValueError, match="`images`"):
        AttentionHealth(np.zeros((16, 16, 3)))


def test_entropy_is_one_where_attention_is_even():
    model = tiny_danet()
    for name in ("query", "key"):
        projection = getattr(model.get_layer("position_attention"), name)
        projection.kernel.assign(ops.zeros_like(projection.kernel))
    health = AttentionHealth(np.zeros((1, 16, 16, 3), "uint8"))
    health.set_model(model)
    assert health.measure()["position_attention_entropy"] == pytest.approx(1, abs=1e-6)
