"""segment: both protocols against the fixtures and a plain NumPy form of each."""

import json
import math
import subprocess
import sys
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_danet.images import as_image
from keras_danet.inference import Segmentation, UnreadableImages, segment
from keras_danet.inference.protocols import mean_logits
from keras_danet.inference.setting import Setting
from tests.shared import SHARED, needs_shared
from tests.toy import Toy, align_corners_matrix, align_corners_resize, tiny_danet

# meta.json of the fixtures: image size, long side, window, scales, network calls.
OFFICIAL = {
    "single_wide": ((45, 80), 80, 32, (1.0,), 16),
    "multi_wide": ((45, 80), 64, 32, (0.5, 0.75, 1.0, 1.25, 1.5, 1.75), 94),
    "multi_tall": ((61, 40), 50, 32, (0.5, 1.0, 2.2), 40),
    "small_padded": ((20, 26), 26, 32, (1.0, 1.5), 6),
}


def noise(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape)


def official_scores(network, image, base_size, crop, scales, dtype="float64"):
    """The DANet repository's evaluation as danet.md tells it, exponentials and all."""
    height, width = image.shape[:2]
    total = 0
    for scale in scales:
        long_side = math.ceil(base_size * scale)
        if height > width:
            size = long_side, int(width * long_side / height + 0.5)
        else:
            size = int(height * long_side / width + 0.5), long_side
        scaled = align_corners_resize(image[None], size)[0]
        missing = [(0, max(crop - length, 0)) for length in size]
        padded = np.pad(scaled, (*missing, (0, 0)))
        stride = int(crop * 2 / 3)
        sums = np.zeros((*padded.shape[:2], 4), dtype)
        count = np.zeros(padded.shape[:2])
        steps = [math.ceil((n - crop) / stride) + 1 for n in padded.shape[:2]]
        for top in range(0, steps[0] * stride, stride):
            for left in range(0, steps[1] * stride, stride):
                part = padded[top : top + crop, left : left + crop]
                h, w = part.shape[:2]
                full = np.pad(part, ((0, crop - h), (0, crop - w), (0, 0)))[None]
                logits = network(full) + network(full[:, :, ::-1])[:, :, ::-1]
                score = np.exp(logits[0, :h, :w].astype(dtype))
                sums[top : top + h, left : left + w] += score
                count[top : top + h, left : left + w] += 1
        mean = (sums / count[..., None])[: size[0], : size[1]]
        total = total + resized(mean, (height, width))
    return total / total.sum(axis=-1, keepdims=True)


def resized(scores, size):
    """With align_corners, in the dtype of the scores (einsum has no long doubles)."""
    rows, columns = map(align_corners_matrix, scores.shape[:2], size)
    classes = np.moveaxis(scores, -1, 0)
    return np.stack([rows @ one @ columns.T for one in classes], axis=-1)


@needs_shared
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_windows_equal_mmsegmentation(name):
    folder = SHARED / "fixtures" / "evalproc"
    meta = json.loads((folder / "meta.json").read_text())[f"mmseg_slide_{name}"]
    with np.load(folder / "mmseg_slide.npz") as arrays:
        images = arrays[f"{name}_x"].transpose(0, 2, 3, 1)
        expected = arrays[f"{name}_logits"].transpose(0, 2, 3, 1)
    toy = Toy()
    for batch_size, image, logits in zip((1, 3), images, expected, strict=True):
        setting = Setting.checked(
            toy,
            scales=(1.0,),
            flip=False,
            window=meta["crop"],
            stride=meta["stride"],
            base_size=None,
            protocol="mmseg",
            batch_size=batch_size,
        )
        np.testing.assert_allclose(mean_logits(toy, image, setting), logits, atol=1e-9)
        assert {call[1:3] for call in toy.calls} == {tuple(meta["calls"][0][2:])}
        result = segment(
            toy, image, window=meta["crop"], stride=meta["stride"], batch_size=4
        )
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        softmax = exponentials / exponentials.sum(-1, keepdims=True)
        np.testing.assert_allclose(result.probabilities, softmax, atol=1e-9)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_protocol_equals_the_plain_sum_of_exponentials(name):
    size, base_size, crop, scales, num_calls = OFFICIAL[name]
    image, toy = noise(*size, 3), Toy()
    expected = official_scores(Toy(), image, base_size, crop, scales)
    result = segment(
        toy,
        image,
        scales=scales,
        flip=True,
        window=crop,
        base_size=base_size,
        protocol="official",
    )
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-10)
    assert len(toy.calls) == num_calls
    assert set(toy.calls) == {(1, crop, crop, 3)}
    np.testing.assert_array_equal(result.labels, expected.argmax(-1))


@needs_shared
def test_the_cases_are_those_of_the_fixtures():
    meta = json.loads((SHARED / "fixtures/evalproc/meta.json").read_text())
    for name, (size, base_size, crop, scales, num_calls) in OFFICIAL.items():
        case = meta[name]
        assert tuple(case["image"]) == size and case["base_size"] == base_size
        assert case["crop_size"] == crop and tuple(case["scales"]) == scales
        assert case["n_network_calls"] == num_calls


def test_official_protocol_survives_logits_whose_exponentials_overflow():
    """Logits of thousands; the oracle's long doubles hold exp up to 11356."""
    image = noise(20, 26, 3)
    toy = Toy(factor=300.0)
    assert np.abs(toy(image[None])).max() > 1000
    expected = official_scores(Toy(300.0), image, 26, 16, (1.0, 1.5), "longdouble")
    assert np.isfinite(expected).all()
    result = segment(
        toy,
        image,
        scales=(1.0, 1.5),
        flip=True,
        window=16,
        base_size=26,
        protocol="official",
    )
    assert np.isfinite(result.probabilities).all()
    expected = expected.astype("float64")
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-9)
    np.testing.assert_array_equal(result.labels, expected.argmax(-1))


def test_official_stride_of_half_a_window():
    toy = Toy()
    segment(toy, noise(32, 64, 3), window=32, stride=16, protocol="official")
    assert len(toy.calls) == 3


def test_padding_is_black_whatever_the_network_subtracts():
    """Zero padding of [0, 255] images is the source's -mean/std after normalizing."""
    mean, std = np.array([123.7, 116.3, 103.5]), np.array([58.4, 57.1, 57.4])
    seen = []

    def network(images):
        seen.append((images - mean) / std)
        return Toy()(seen[-1])

    segment(network, noise(5, 6, 3) * 40 + 120, window=8, protocol="official")
    np.testing.assert_allclose(seen[0][0, 5:], np.broadcast_to(-mean / std, (3, 8, 3)))


@pytest.mark.parametrize("protocol", ["mmseg", "official"])
def test_one_window_as_large_as_the_image_is_the_whole_image(protocol):
    model, image = tiny_danet(), noise(37, 50, 3) * 60 + 120
    whole = segment(model, image, protocol=protocol, flip=True)
    window = segment(model, image, protocol=protocol, flip=True, window=(37, 50))
    np.testing.assert_array_equal(window.probabilities, whole.probabilities)


def test_whole_image_is_the_softmax_of_the_model():
    model, image = tiny_danet(), (noise(37, 50, 3) * 60 + 120).astype("float32")
    logits = model.predict(image[None], verbose=0)[0]
    result = segment(model, image)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    assert isinstance(result, Segmentation)
    assert result.labels.dtype == np.uint8 and result.labels.shape == (37, 50)
    np.testing.assert_array_equal(result.labels, expected.argmax(-1))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("protocol", ["mmseg", "official"])
def test_batches_of_windows_change_nothing(protocol, batch_size):
    settings = {"window": (16, 24), "flip": True, "scales": (0.7, 1.0)}
    image, toy = noise(40, 50, 3), Toy()
    one = segment(Toy(), image, protocol=protocol, **settings)
    many = segment(toy, image, protocol=protocol, batch_size=batch_size, **settings)
    np.testing.assert_allclose(many.probabilities, one.probabilities, atol=1e-12)
    assert max(call[0] for call in toy.calls) <= batch_size


def test_mmseg_scales_and_flips_average_the_softmax():
    """By hand: a network without context, so that resizing is all there is."""

    def network(images):
        return images * 2.0

    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    image = noise(6, 8, 3)
    halved = image.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    back = half_pixel_resize(halved, (6, 8))
    expected = (softmax(2 * image) + softmax(2 * back)) / 2
    for flip in (False, True):  # the network sees no position, a flip changes nothing
        result = segment(network, image, scales=(1.0, 0.5), flip=flip)
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-12)


def test_flip_averages_both_views():
    def network(images):
        ramp = np.arange(images.shape[2])[:, None] * [1.0, -0.5]
        return np.broadcast_to(ramp, (*images.shape[:3], 2))

    result = segment(network, noise(2, 5, 3), flip=True)
    logits = np.arange(5) * 1.5
    left = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(
        result.probabilities[0, :, 0], (left + left[::-1]) / 2, atol=1e-12
    )


def half_pixel_resize(image, size):
    def matrix(length, new_length):
        position = (np.arange(new_length) + 0.5) * length / new_length - 0.5
        position = np.clip(position, 0, length - 1)
        return np.maximum(1 - np.abs(position[:, None] - np.arange(length)), 0)

    rows, columns = map(matrix, image.shape[:2], size)
    return np.einsum("Hh,hwc,Ww->HWc", rows, image, columns)


@pytest.mark.parametrize(
    "base_size, expected",
    [(40, (20, 40)), ((60, 12), (12, 24)), ((12, 60), (12, 24)), (None, (30, 60))],
)
def test_base_size_of_mmseg(base_size, expected):
    toy = Toy()
    result = segment(toy, noise(30, 60, 3), base_size=base_size)
    assert toy.calls == [(1, *expected, 3)]
    assert result.labels.shape == (30, 60)


def test_logits_are_enlarged_as_the_model_does_it():
    """The 769x769 models of mmsegmentation keep the corners in place."""
    image = keras.Input((None, None, 3))
    model = keras.Model(image, Resizing(name="fused_resize")(image))
    x = noise(4, 4, 3).astype("float32")
    smaller = half_pixel_resize(x, (2, 2))
    expected = align_corners_resize(smaller[None], (4, 4))[0]
    logits = np.log(segment(model, x, scales=0.5).probabilities)
    expected -= np.log(np.exp(expected).sum(-1, keepdims=True))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


class Resizing(keras.layers.Layer):
    """A stand-in for the layer that enlarges the main logits."""

    align_corners = True

    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (7, 9), (8, 8)])
@pytest.mark.parametrize("protocol", ["mmseg", "official"])
def test_any_size(size, protocol):
    image, toy = noise(*size, 3), Toy()
    for window in (None, 5, (3, 100)):
        result = segment(
            toy, image, window=window, scales=(0.5, 1.0), flip=True, protocol=protocol
        )
        assert result.probabilities.shape == (*size, 4)
        np.testing.assert_allclose(result.probabilities.sum(-1), 1, atol=1e-6)


def test_several_images():
    images = [noise(4, 6, 3), noise(5, 3, 3)]
    results = segment(Toy(), images)
    assert [result.labels.shape for result in results] == [(4, 6), (5, 3)]
    batch = np.stack([noise(4, 6, 3), noise(4, 6, 3, seed=5)])
    for result, image in zip(segment(Toy(), batch), batch, strict=True):
        single = segment(Toy(), image).probabilities
        np.testing.assert_array_equal(result.probabilities, single)


def test_a_bad_image_does_not_stop_the_others(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    with pytest.raises(UnreadableImages, match=r"2 of 4 images.*\n.*bad\.jpg") as info:
        images = [noise(4, 6, 3), bad, noise(2, 2, 3), np.full((2, 2, 3), np.nan)]
        segment(Toy(), images)
    assert sorted(info.value.errors) == [1, 3]
    assert [index for index, x in enumerate(info.value.results) if x is None] == [1, 3]
    assert info.value.results[2].labels.shape == (2, 2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"protocol": "paddle"}, '"mmseg" or "official"'),
        ({"scales": (1.0, 0.0)}, "positive"),
        ({"scales": ()}, "positive"),
        ({"scales": float("nan")}, "positive"),
        ({"window": 0}, "`window`"),
        ({"window": (3, 4, 5)}, "`window`"),
        ({"window": 8, "stride": 9}, "left out"),
        ({"stride": 8}, "left out"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"base_size": -1}, "`base_size`"),
        ({"base_size": (8, 4), "protocol": "official"}, "`base_size`"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received:"):
        segment(Toy(), noise(8, 8, 3), **arguments)


@pytest.mark.parametrize(
    "network, message",
    [
        (lambda images: images[:, ::2], "of their size"),
        (lambda images: {"logits": images}, "of their size.*output dict"),
        (lambda images: images * np.nan, "192 of 192"),
    ],
)
def test_outputs_that_are_no_logits(network, message):
    with pytest.raises(ValueError, match=message):
        segment(network, noise(8, 8, 3))


def test_an_image_in_zero_to_one_is_refused_where_the_model_normalizes():
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1, name="normalization")(image)
    model = keras.Model(image, scaled)
    with pytest.raises(ValueError, match=r"\[0, 255\].*Multiply it by 255"):
        segment(model, np.random.default_rng(0).uniform(size=(4, 4, 3)))
    segment(model, np.zeros((4, 4, 3)))  # black is black in every range
    segment(model, np.eye(4, dtype="uint8")[..., None])  # integers mean what they say


def test_labels_of_many_classes():
    result = segment(lambda x: np.repeat(x, 100, axis=-1), np.ones((2, 2, 3)))
    assert result.labels.dtype == np.uint16


def test_images_stay_small_until_they_are_seen():
    """8-bit images are not copied to floats whole: only the windows are."""
    image = np.zeros((64, 64, 3), "uint8")
    assert as_image(image).dtype == np.uint8
    toy = Toy()
    segment(toy, image, window=16)
    assert toy.calls[0] == (1, 16, 16, 3)


@pytest.mark.once
@pytest.mark.parametrize("protocol", ["mmseg", "official"])
def test_host_memory_is_a_few_probability_maps(protocol):
    """Whatever the windows: the sums, those of one scale, and bands of rows."""

    def network(images):
        return np.repeat(images[..., :1], 16, axis=-1) * np.arange(16, dtype="float32")

    image = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), "uint8")
    size = image.shape[0] * image.shape[1] * 16 * 4
    tracemalloc.start()
    segment(network, image, window=250, protocol=protocol)
    one_scale = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    segment(network, image, window=250, scales=(0.5, 1.0), flip=True, protocol=protocol)
    scales = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert one_scale < 1.5 * size
    assert scales < 2.5 * size


@pytest.mark.proof
def test_memory_of_a_large_image():
    """4096x4096 pixels, windows of 1024, 19 classes; see proof/inference_memory.md."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.inference_memory"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    peaks = json.loads(result.stdout.splitlines()[-1])
    bound = peaks["probabilities"] + peaks["one window"] + 300
    assert peaks["mmseg"] < bound
    assert peaks["official"] < bound + peaks["probabilities"]
