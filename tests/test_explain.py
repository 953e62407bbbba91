"""explain, ablate and AttentionHealth on small models with the named layers."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

import keras_danet
from keras_danet.evaluation import evaluate
from keras_danet.explanation import explain
from keras_danet.explanation.ablation import ablate
from keras_danet.explanation.health import AttentionHealth
from tests.attention_memory import resident
from tests.toy import tiny_danet, tiny_dfdam

POINTS = [(0, 0), (7, 8), (20, 33), (39, 55)]


class Dense(keras.Model):
    """Every named layer's output and scores, the whole (N, N) map included."""

    def __init__(self, model, names):
        super().__init__()
        inputs = {name: model.get_layer(name).input for name in names}
        self.inner = keras.Model(model.input, inputs)
        self.named = {name: model.get_layer(name) for name in names}

    def call(self, images):
        seen = self.inner(images)
        return {
            name: layer(seen[name], return_attention_scores=True)
            for name, layer in self.named.items()
        }


def case(build, first, second, points=None):
    image = np.random.default_rng(2).integers(0, 256, (40, 56, 3), "uint8")
    model = build()
    return SimpleNamespace(
        model=model,
        image=image,
        names=(first, second),
        dense=Dense(model, (first, second)).predict(image[None], verbose=0),
        logits=model.predict(image[None], verbose=0)[0],
        seen=explain(model, image, points, channels=2),
    )


@pytest.fixture(scope="module")
def danet():
    return case(tiny_danet, "position_attention", "channel_attention", POINTS)


@pytest.fixture(scope="module")
def dfdam():
    return case(tiny_dfdam, "dafm", "pam2d")


def test_rows_equal_those_of_the_dense_map(danet):
    _, scores = danet.dense["position_attention"]  # 5 x 7 cells of 8 x 8 pixels
    assert danet.seen.position_maps.shape == (4, 5, 7)
    for (row, column), found in zip(POINTS, danet.seen.position_maps, strict=True):
        cell = (row // 8) * 7 + column // 8
        np.testing.assert_allclose(found.ravel(), scores[0, cell], atol=1e-6)
    np.testing.assert_allclose(danet.seen.position_maps.sum((1, 2)), 1, atol=1e-5)
    assert danet.seen.points == POINTS
    np.testing.assert_array_equal(danet.seen.labels, danet.logits.argmax(-1))


def test_only_the_asked_rows_are_computed(danet, monkeypatch):
    """The dense map of 1024x2048 pixels at stride 8 would take 4 GB."""
    layer = danet.model.get_layer("position_attention")
    original, asked = type(layer).attention_scores, []

    def spy(self, features, positions):
        asked.append(np.asarray(positions).tolist())
        return original(self, features, positions)

    monkeypatch.setattr(type(layer), "attention_scores", spy)
    seen = explain(danet.model, np.zeros((256, 512, 3), "uint8"), [(100, 300)])
    assert asked == [[[12, 37]]]
    assert seen.position_maps.shape == (1, 32, 64)


def test_channel_maps_are_the_channels_after_the_module(danet):
    output, scores = danet.dense["channel_attention"]
    seen = danet.seen
    most = output[0].std(axis=(0, 1)).argsort()[::-1][:2]
    assert seen.channels == most.tolist()
    for channel, found in zip(most, seen.channel_maps, strict=True):
        np.testing.assert_allclose(found, output[0, ..., channel], atol=1e-5)
    np.testing.assert_allclose(seen.channel_scores, scores[0], atol=1e-6)
    chosen = explain(danet.model, danet.image, channels=[3, 1])
    assert chosen.channels == [3, 1]
    np.testing.assert_allclose(chosen.channel_maps[1], output[0, ..., 1], atol=1e-5)


def test_what_a_danet_does_not_have_is_none(danet):
    gammas = {"position_attention": 0.7, "channel_attention": 0.6}
    assert danet.seen.gammas == pytest.approx(gammas)
    assert danet.seen.low_weights is danet.seen.confidence is None


def test_gates_and_confidence_of_dfdam(dfdam):
    _, (low, high) = dfdam.dense["dafm"]
    _, score = dfdam.dense["pam2d"]
    seen = dfdam.seen
    np.testing.assert_allclose(seen.low_weights, low[0], atol=1e-6)
    np.testing.assert_allclose(seen.high_weights, high[0], atol=1e-6)
    np.testing.assert_allclose(seen.confidence, score[0, ..., 0], atol=1e-6)
    assert seen.low_weights.shape == (16,) and seen.confidence.shape == (20, 28)
    assert seen.position_maps is None and seen.gammas == {}


def test_points_need_position_attention(dfdam):
    with pytest.raises(ValueError, match="no position attention: leave `points` out"):
        explain(dfdam.model, dfdam.image, POINTS)


@pytest.mark.parametrize("name, panels", [("danet", 8), ("dfdam", 4)])
def test_plot_shows_everything(name, panels, request, tmp_path):
    path = tmp_path / "new" / "seen.png"
    figure = request.getfixturevalue(name).seen.plot(path)
    drawn = [ax for ax in figure.axes if ax.has_data() and ax.get_title()]
    assert len(drawn) == panels
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    "points", [[(40, 0)], [(0, -1)], [(1.5, 2)], [3, 4], [(1, 2, 3)], []]
)
def test_points_outside_the_image(points, danet):
    with pytest.raises(ValueError, match="40 rows and 56 columns.*Received: points"):
        explain(danet.model, danet.image, points)


def test_models_without_attention_and_channels_that_are_not_there(danet):
    image = danet.image
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])
    for call in (
        lambda: explain(model, image),
        lambda: ablate(model, [(image, image[..., 0])]),
        lambda: AttentionHealth(image[None]).set_model(model),
    ):
        with pytest.raises(ValueError, match="position_attention, channel_attention"):
            call()
    with pytest.raises(ValueError, match="channels 0 to 15.*16"):
        explain(danet.model, image, channels=[16])
    with pytest.raises(ValueError, match="how many channels.*channels=-1"):
        explain(danet.model, image, channels=-1)


def without(model, names):
    """A copy of the network whose named modules do nothing."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in map(copy.get_layer, names):
        if hasattr(layer, "gamma"):
            layer.gamma.assign(0.0)
            continue
        pam2d = layer.name == "pam2d"
        for gate in [layer.conv3] if pam2d else [layer.low_gate, layer.high_gate]:
            gate.kernel.assign(np.zeros(gate.kernel.shape))
            gate.bias.assign(np.full(gate.bias.shape, 60.0))
    return copy


@pytest.mark.parametrize("name", ["danet", "dfdam"])
def test_ablate_switches_each_module_off_and_on_again(name, request):
    case = request.getfixturevalue(name)
    data = [(case.image, case.logits.argmax(-1))]
    before = case.model.get_weights()
    results = ablate(case.model, data, verbose=0)
    for old, new in zip(before, case.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    both = " + ".join(case.names)
    assert list(results) == ["none", *case.names, both]
    assert results["none"].mean_iou == 1.0
    off = without(case.model, case.names)
    for names in ((case.names[0],), case.names):
        off = without(case.model, names)
        expected = evaluate(off, data, verbose=0).confusion_matrix
        found = results[" + ".join(names)].confusion_matrix
        np.testing.assert_array_equal(found, expected)
    assert results[both].mean_iou < 1.0


def test_ablate_gives_the_weights_back_after_an_error(danet):
    before = danet.model.get_weights()
    with pytest.raises(ValueError, match="label map 0"):
        ablate(danet.model, [(danet.image, np.full((40, 56), 9))], verbose=0)
    for old, new in zip(before, danet.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="used up"):
        ablate(danet.model, iter([(danet.image, danet.image[..., 0])]))


def entropy(scores):
    return -(scores * np.log(scores)).sum(-1).mean() / np.log(scores.shape[-1])


def test_attention_health_is_logged_every_epoch(tmp_path):
    model = tiny_danet()
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 24, 3)).astype("float32")
    labels = np.random.default_rng(1).integers(0, 5, (4, 16, 24))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    health = AttentionHealth(images[:2], positions=1000)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = model.fit(images, labels, epochs=2, verbose=0, callbacks=[health, log])
    names = "position_attention", "channel_attention"
    dense = Dense(model, names).predict(images[:2], verbose=0)
    expected = {}
    for name in names:
        gamma = ops.convert_to_numpy(model.get_layer(name).gamma)
        expected[f"{name}_gamma"] = float(gamma)
        expected[f"{name}_entropy"] = entropy(dense[name][1])
    for name, value in expected.items():
        first, last = history.history[name]
        assert last == pytest.approx(value, abs=1e-5), name
        assert first != last
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert set(expected) <= set(header.split(","))


def test_saturation_of_the_gates():
    model = tiny_dfdam()
    health = AttentionHealth(np.zeros((1, 16, 16, 3), "uint8"))
    health.set_model(model)
    assert health.measure()["dafm_saturation"] == 0
    gate = model.get_layer("dafm").low_gate
    gate.bias.assign(np.full(gate.bias.shape, -9.0))  # one of the two vectors
    values = health.measure()
    assert values["dafm_saturation"] == pytest.approx(0.5)
    assert 0 <= values["pam2d_saturation"] <= 1 and 0 < values["pam2d_mean"] < 1
    with pytest.raises(ValueError, match="`images`"):
        AttentionHealth(np.zeros((16, 16, 3)))


def test_entropy_is_one_where_attention_is_even():
    model = tiny_danet()
    for name in ("query", "key"):
        projection = getattr(model.get_layer("position_attention"), name)
        projection.kernel.assign(np.zeros(projection.kernel.shape))
    health = AttentionHealth(np.zeros((1, 16, 16, 3), "uint8"))
    health.set_model(model)
    assert health.measure()["position_attention_entropy"] == pytest.approx(1, abs=1e-6)


@pytest.mark.proof
def test_a_whole_cityscapes_frame_is_explained():
    """1024x2048 pixels, 32768 positions; see proof/inference_memory.md."""
    model = keras_danet.DANet(19, "resnet_18")
    image = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), "uint8")
    explain(model, image[:64, :64])  # libraries and threads start here
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = resident("VmRSS")
    seen = explain(model, image, [(300, 400), (1000, 2000)])
    added = resident("VmHWM") - before
    print(f"{added:.0f} MB on {keras.backend.backend()}")
    assert seen.position_maps.shape == (2, 128, 256)
    np.testing.assert_allclose(seen.position_maps.sum((1, 2)), 1, atol=1e-4)
    assert added < 4096  # MB that the attention map alone would take
