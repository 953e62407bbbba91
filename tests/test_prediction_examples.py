"""The scripts predict.py, evaluate.py and explain.py, run as a user would."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_danet
from keras_danet.visualization import colorize, palette
from tests import example_scripts
from tests.hostile import photo
from tests.toy import tiny_danet

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ["sky", "road", "car"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A saved DF-DAM of random weights, in the package's own class."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    low = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu")(x)
    high = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu")(low)
    context = keras_danet.DAFM(8, name="dafm")([low, high])
    logits = keras.layers.Conv2D(3, 1, dtype="float32")(context)
    logits = keras_danet.layers.BilinearResize(name="fused_resize")([logits, image])
    model = keras_danet.SegmentationModel(image, {"fused": logits}, class_names=NAMES)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


def run(name, monkeypatch, *arguments):
    """Runs an example's main with arguments; its exit status."""
    try:
        example_scripts.run(EXAMPLES / f"{name}.py", monkeypatch, *arguments)
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture
def folder(tmp_path):
    """Two pictures and their labels, by the same names."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for number in range(2):
        Image.fromarray(photo(rng, 24, 32)).save(tmp_path / f"images/{number}.png")
        label = rng.integers(0, 3, (24, 32)).astype("uint8")
        Image.fromarray(label).save(tmp_path / f"labels/{number}.png")
    return tmp_path


def test_predict_a_folder_and_a_bad_file(model_file, folder, monkeypatch, capsys):
    bad = folder / "bad.jpg"
    bad.write_text("no picture")
    twin = folder / "0.png"
    Image.new("RGB", (5, 4)).save(twin)
    out = folder / "out"
    sources = folder / "images", bad, twin, folder / "missing.png"
    code = run("predict", monkeypatch, *sources, "--model", model_file, "--out", out)
    printed = capsys.readouterr().out
    assert code == 1
    assert "5 pictures, 2 failures" in printed
    assert "bad.jpg" in printed and "missing.png" in printed
    written = sorted(path.name for path in out.iterdir())
    kinds = ("labels", "overlay")
    expected = [f"{name}_{kind}.png" for name in ("0", "0_", "1") for kind in kinds]
    assert written == sorted(expected)
    model = keras.saving.load_model(model_file)
    labels = Image.open(out / "0_labels.png")
    expected = keras_danet.segment(model, folder / "images" / "0.png").labels
    np.testing.assert_array_equal(np.asarray(labels), expected)
    colors = colorize(expected, palette(NAMES))
    np.testing.assert_array_equal(np.asarray(labels.convert("RGB")), colors)


def test_predict_a_video(model_file, tmp_path, monkeypatch, capsys):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    path = tmp_path / "drive.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (32, 24))
    for value in (0, 120):
        video.write(np.full((24, 32, 3), value, "uint8"))
    video.release()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    arguments = path, broken, "--model", model_file, "--out", tmp_path / "out"
    assert run("predict", monkeypatch, *arguments) == 1
    assert "broken.mp4" in capsys.readouterr().out
    labels = sorted((tmp_path / "out").glob("*_labels.png"))
    assert [x.name for x in labels] == [f"drive_00000{n}_labels.png" for n in range(2)]


def test_evaluate_a_folder(model_file, folder, monkeypatch, capsys):
    pytest.importorskip("tensorflow")
    out = folder / "out"
    data = "--images", folder / "images", "--labels", folder / "labels"
    arguments = "--model", model_file, *data, "--out", out, "--ablate", "--flip"
    assert run("evaluate", monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    record = json.loads((out / "evaluation.json").read_text())
    assert f"mIoU {record['mean_iou']:.4f}" in printed
    assert np.sum(record["confusion_matrix"]) == 2 * 24 * 32
    assert record["protocol"]["flip"] is True and record["class_names"] == NAMES
    assert "off: dafm" in printed
    assert Image.open(out / "examples.png").size[0] > 4 * 32
    with pytest.raises(ValueError, match="none.keras"):
        run("evaluate", monkeypatch, "--model", folder / "none.keras")
    for wrong in (("--data", "camvid"), ("--root", folder)):
        assert run("evaluate", monkeypatch, "--model", model_file, *wrong) == 2
        assert "belong together" in capsys.readouterr().err


def test_evaluate_what_is_all_ignored(model_file, folder, monkeypatch):
    pytest.importorskip("tensorflow")
    for path in (folder / "labels").iterdir():
        Image.new("L", (32, 24), 255).save(path)
    data = "--images", folder / "images", "--labels", folder / "labels"
    out = folder / "out"
    run("evaluate", monkeypatch, "--model", model_file, *data, "--out", out)
    assert json.loads((out / "evaluation.json").read_text())["pixel_accuracy"] is None


def test_explain_a_picture(model_file, folder, monkeypatch):
    out = folder / "attention.png"
    arguments = folder / "images" / "0.png", "--model", model_file, "--out", out
    assert run("explain", monkeypatch, *arguments) == 0
    assert Image.open(out).size[0] > 200
    with pytest.raises(ValueError, match="leave `points` out"):
        run("explain", monkeypatch, *arguments, "--points", "3,4")


def test_explain_points(folder, monkeypatch, tmp_path):
    tiny_danet().save(tmp_path / "danet.keras")
    out = tmp_path / "attention.png"
    arguments = folder / "images" / "0.png", "--model", tmp_path / "danet.keras"
    points = "--points", "3,4", "20,30"
    assert run("explain", monkeypatch, *arguments, *points, "--out", out) == 0
    assert Image.open(out).size[0] > 200
