"""The SavedModel that `export_model` writes, through everything that reads one."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import keras_danet
from tests.cases import NUM_CLASSES, images_and_labels, predict
from tests.hostile import encoded, photo, png_of_size
from tests.hostile_requests import ANYTHING, REQUESTS, SEGMENTED

pytestmark = pytest.mark.once

tf = pytest.importorskip("tensorflow")
NAMES = ["sky", "building", "road", "car", "person"]


@pytest.fixture(scope="module")
def model(exported_danet):
    return exported_danet[0]


@pytest.fixture(scope="module")
def folder(exported_danet):
    return exported_danet[1]


@pytest.fixture(scope="module")
def served(served_danet):
    return served_danet


def read_png(data):
    picture = Image.open(io.BytesIO(data))
    assert picture.mode == "L"
    return np.asarray(picture)


def same_but_ties(labels, logits):
    second, first = np.moveaxis(np.sort(logits, axis=-1)[..., -2:], -1, 0)
    assert labels.shape == logits.shape[:-1]
    assert ((labels == logits.argmax(-1)) | (first - second < 1e-3)).all()


def test_signatures(served):
    def types(infos):
        return {
            name: (info.dtype, [d.size for d in info.tensor_shape.dim])
            for name, info in infos.items()
        }

    image, any_size = [-1, -1, -1, 3], [-1, -1, -1]
    string, uint8, float32 = (
        t.as_datatype_enum for t in (tf.string, tf.uint8, tf.float32)
    )
    fraction = (float32, [-1, NUM_CLASSES])
    expected = {
        "image_bytes": (
            {"image_bytes": (string, [-1])},
            {"label_png": (string, [-1]), "class_fraction": fraction},
        ),
        "image_bytes_rest": (
            {"image_bytes": (string, [-1])},
            {"label_png_bytes": (string, [-1]), "class_fraction": fraction},
        ),
        "predict_images": (
            {"images": (uint8, image)},
            {"labels": (uint8, any_size), "confidence": (float32, any_size)},
        ),
        "predict_logits": (
            {"images": (float32, image)},
            {"logits": (float32, [*any_size, NUM_CLASSES])},
        ),
    }
    expected["serving_default"] = expected["image_bytes"]
    found = {
        name: (types(s.inputs), types(s.outputs))
        for name, s in served.signatures.items()
        if not name.startswith("__")
    }
    assert found == expected


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (33, 80), (64, 64), (61, 50)])
def test_arrays_of_any_size(served, model, size):
    images = images_and_labels(2, *size)[0]
    logits = predict(model, images.astype("float32"))
    exported = served.run("predict_logits", images=images.astype("float32"))["logits"]
    np.testing.assert_allclose(exported, logits, atol=1e-4)
    answer = served.run("predict_images", images=images)
    same_but_ties(answer["labels"], logits)
    scores = np.exp(logits - logits.max(-1, keepdims=True))
    confidence = 1 / scores.sum(-1)
    np.testing.assert_allclose(answer["confidence"], confidence, atol=1e-5, rtol=0)


def test_images_of_a_batch_keep_their_sizes(served, model):
    rng = np.random.default_rng(0)
    pictures = [photo(rng, *size) for size in ((20, 30), (31, 17), (1, 1))]
    formats = ("JPEG", "PNG", "BMP")
    files = [encoded(p, f) for p, f in zip(pictures, formats, strict=True)]
    together = served.run("image_bytes", image_bytes=files)
    for index, (file, picture) in enumerate(zip(files, pictures, strict=True)):
        alone = served.run("image_bytes", image_bytes=[file])
        assert alone["label_png"][0] == together["label_png"][index]
        labels = read_png(alone["label_png"][0])
        assert labels.shape == picture.shape[:2]
        shares = np.bincount(labels.ravel(), minlength=NUM_CLASSES) / labels.size
        np.testing.assert_allclose(together["class_fraction"][index], shares, atol=1e-6)


@pytest.mark.parametrize("name", REQUESTS)
def test_every_kind_of_file(served, model, name, tmp_path):
    expected, make = REQUESTS[name]
    data = make(np.random.default_rng(1))
    good = encoded(np.zeros((4, 5, 3), "uint8"), "PNG")
    try:
        answer = served.run("image_bytes", image_bytes=[good, data])
    except tf.errors.InvalidArgumentError as error:
        assert expected is ANYTHING or expected != SEGMENTED
        assert "1 of 2 images cannot be used" in error.message
        assert "image 1: " in error.message and (expected or "") in error.message
        return
    assert expected in (SEGMENTED, ANYTHING)
    if expected == SEGMENTED:
        (tmp_path / name).write_bytes(data)
        logits = keras_danet.segment(model, tmp_path / name).probabilities
        same_but_ties(read_png(answer["label_png"][1]), np.log(logits))


def test_all_bad_images_are_named_and_nothing_else_runs(served):
    good = encoded(np.zeros((4, 5, 3), "uint8"), "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        served.run("image_bytes", image_bytes=[b"", good, png_of_size(2000, 2000)])
    assert (
        "2 of 3 images cannot be used (counted from 0), and none was segmented: "
        "image 0: it is empty; image 2: it has 2000x2000 pixels, more than the 1048576"
    ) in caught.value.message


@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        ("image_bytes", np.array(b"", object)),
        ("image_bytes", np.full((1, 1), b"", object)),
        ("predict_images", np.zeros((1, 8, 8, 4), "uint8")),
        ("predict_images", np.zeros((8, 8, 3), "uint8")),
        ("predict_images", np.zeros((1, 0, 0, 3), "uint8")),
        ("predict_logits", np.zeros((1, 0, 8, 3), "float32")),
    ],
)
def test_arrays_of_the_wrong_shape_are_errors(served, signature, inputs):
    name = "image_bytes" if signature == "image_bytes" else "images"
    with pytest.raises((tf.errors.OpError, ValueError)):
        served.run(signature, **{name: inputs})


def test_no_images_give_no_answers(served):
    answer = served.run("image_bytes", image_bytes=np.zeros(0, object))
    assert answer["label_png"].shape == (0,)
    assert answer["class_fraction"].shape == (0, NUM_CLASSES)


def test_weights_are_stored_once_and_only_those_needed(folder, model):
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    stored = sum(np.prod(s) for name, s in shapes.items() if "weights" in name)
    unused = ("position_logits", "channel_logits")
    needed = sum(
        np.prod(v.shape) for v in model.variables
        if not v.path.startswith(unused) and v.dtype == "float32"
    )  # fmt: skip
    assert stored == needed
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    assert size <= 1.05 * 4 * model.count_params() + 2**20  # the graph itself


def test_the_card_says_what_a_deployer_needs(folder, model):
    card = json.loads((folder / "model_card.json").read_text())
    assert [row["name"] for row in card["classes"]] == NAMES
    assert card["classes"][2]["color"] == [128, 64, 128]
    assert card["parameters"] == model.count_params()
    assert card["max_pixels"] == 2**20
    assert card["keras_danet"] == keras_danet.__version__
    assert len(card["normalization"]["scale"]) == 3
    assert card["difference_from_keras"]["label_agreement"] > 0.999
    text = (folder / "model_card.md").read_text()
    assert "EXIF" in text and "| 2 | road | [128, 64, 128] |" in text


def test_warmup_requests_are_what_tensorflow_serving_reads(folder, served):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = str(folder / "assets.extra" / "tf_serving_warmup_requests")
    seen = set()
    for record in tf.data.TFRecordDataset(file):
        entry = log.PredictionLog.FromString(record.numpy())
        request = entry.predict_log.request
        assert request.model_spec.name == "danet"
        assert entry.SerializeToString(deterministic=True) == record.numpy()
        inputs = {name: tf.make_ndarray(v) for name, v in request.inputs.items()}
        served.run(request.model_spec.signature_name, **inputs)
        seen.add(request.model_spec.signature_name)
    assert seen | {"serving_default"} == {
        name for name in served.signatures if not name.startswith("__")
    }


def test_saved_model_cli_runs_it(folder, tmp_path, monkeypatch, capsys):
    from tensorflow.python.tools import saved_model_cli

    np.save(tmp_path / "images.npy", images_and_labels(1, 16, 24)[0])
    command = (
        f"run --dir {folder} --tag_set serve --signature_def predict_images "
        f"--inputs images={tmp_path}/images.npy --outdir {tmp_path}"
    )
    arguments = saved_model_cli.create_parser().parse_args(command.split())
    arguments.func()
    assert np.load(tmp_path / "labels.npy").shape == (1, 16, 24)
