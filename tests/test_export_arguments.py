"""What `export_model` refuses, and that nothing half-written is left."""

import os

import keras
import numpy as np
import pytest

import keras_danet
from keras_danet.export import writers
from keras_danet.export.answers import check_logits
from keras_danet.export.unfinished import _put
from tests.toy import tiny_danet

pytestmark = pytest.mark.once


@pytest.fixture
def written(monkeypatch):
    """A writer of a folder of one file, in place of the long real one."""

    def write(model, path, format, settings):
        path.mkdir()
        (path / "saved_model.pb").write_text(str(settings))
        return {}

    monkeypatch.setattr(writers, "write", write)


@pytest.fixture
def written_pair(monkeypatch):
    """A writer of a file and another beside it."""

    def write(model, path, format, settings):
        path.write_text("graph")
        path.with_suffix(".bin").write_text("weights")
        return {"logits": 0.0}

    monkeypatch.setattr(writers, "write", write)


def network(shape=(None, None, 3), classes=3):
    image = keras.Input(shape)
    return keras.Model(image, keras.layers.Conv2D(classes, 1)(image))


def two_outputs():
    image = keras.Input((None, None, 3))
    convolutions = [keras.layers.Conv2D(3, 1)(image) for _ in range(2)]
    return keras.Model(image, convolutions)


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (lambda: "model", {}, "must be a Keras model"),
        (two_outputs, {}, "one map of logits"),
        (lambda: network(classes=257), {}, "256 classes at most"),
        (lambda: network((64, 64, 3)), {}, "image_shape=.None, None, 3"),
        (network, {"format": "tflite"}, "'litert'"),
        (network, {"default_signature": "predict"}, "'predict_images'"),
        (network, {"max_pixels": 0}, "positive"),
        (network, {"max_pixels": 1e6}, "must be an int"),
        (network, {"precision": "float16"}, "Only LiteRT"),
        (network, {"precision": "half"}, "'dynamic_int8'"),
        (network, {"format": "litert", "precision": "int8"}, "calibration_images"),
        (network, {"format": "litert", "calibration_images": []}, "no other"),
        (network, {"format": "onnx", "max_pixels": 9}, "a SavedModel's"),
    ],
)
def test_refused(make, arguments, words, tmp_path):
    with pytest.raises(ValueError, match=words) as caught:
        keras_danet.export_model(make(), tmp_path / "1", **arguments)
    assert "Received" in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_what_is_there_is_replaced_only_on_request(written, tmp_path):
    (tmp_path / "1").mkdir()  # empty: nothing to lose
    keras_danet.export_model(network(), tmp_path / "1")
    with pytest.raises(ValueError, match="overwrite=True"):
        keras_danet.export_model(network(), tmp_path / "1", max_pixels=9)
    file = tmp_path / "1" / "saved_model.pb"
    assert "4194304" in file.read_text()
    (tmp_path / "1" / "old").touch()
    keras_danet.export_model(network(), tmp_path / "1", max_pixels=9, overwrite=True)
    assert "4194304" not in file.read_text()
    assert not (tmp_path / "1" / "old").exists()
    (tmp_path / "2").touch()
    keras_danet.export_model(network(), tmp_path / "2", overwrite=True)
    assert (tmp_path / "2" / "saved_model.pb").exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {"1", "2"}


def test_a_failure_leaves_what_was_there(monkeypatch, written, tmp_path):
    keras_danet.export_model(network(), tmp_path / "1")

    def fail(model, path, format, settings):
        path.mkdir()
        (path / "half").touch()
        raise ValueError("other logits")

    monkeypatch.setattr(writers, "write", fail)
    with pytest.raises(ValueError, match="other logits"):
        keras_danet.export_model(network(), tmp_path / "1", overwrite=True)
    assert {f.name for f in (tmp_path / "1").iterdir()} == {
        "saved_model.pb",
        "model_card.json",
        "model_card.md",
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["1"]


def test_the_card_of_a_file_lies_beside_it(written_pair, tmp_path):
    keras_danet.export_model(network(), tmp_path / "street.xml", "openvino")
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "street.xml",
        "street.bin",
        "street.xml.model_card.json",
        "street.xml.model_card.md",
    }


def test_files_beside_are_replaced_only_on_request(written_pair, tmp_path):
    (tmp_path / "street.bin").write_text("somebody's")
    with pytest.raises(ValueError, match=r"street\.bin already"):
        keras_danet.export_model(network(), tmp_path / "street.xml", "openvino")
    assert [entry.name for entry in tmp_path.iterdir()] == ["street.bin"]
    assert (tmp_path / "street.bin").read_text() == "somebody's"


def test_a_replaced_folder_comes_back_after_an_interrupt(monkeypatch, tmp_path):
    old, new = tmp_path / "old", tmp_path / "hidden" / "old"
    for folder in (old, new):
        folder.mkdir(parents=True)
    (old / "file").touch()
    replace = os.replace

    def interrupted(source, target):
        if source == new:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _put(new, old)
    assert (old / "file").exists()


def test_only_functional_models(tmp_path):
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)]
    for model in (keras.Sequential(layers), keras.Sequential(), keras.Model()):
        with pytest.raises(ValueError, match="functional.*Received"):
            keras_danet.export_model(model, tmp_path / "1")


def test_other_logits_are_an_error():
    model = tiny_danet()
    right = [np.zeros((4, 5, 3), "float32")]
    assert check_logits(right, [right[0] + 5e-4], model, "It") == pytest.approx(5e-4)
    for wrong in (2e-3, np.nan):
        with pytest.raises(ValueError, match="It gives other logits"):
            check_logits(right, [right[0] + wrong], model, "It")
