"""The exported model over the interfaces of TensorFlow Serving, asked by clients."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_danet
from tests import example_scripts
from tests.hostile import encoded, orientation, photo

pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[1] / "examples"
grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")


@pytest.fixture(scope="module")
def addresses(served_danet):
    """Client -> address."""
    from tests.serving import serving, serving_rest

    with serving(served_danet) as grpc_address, serving_rest(served_danet) as rest:
        yield {"grpc_client": grpc_address, "rest_client": rest}


def load(path, monkeypatch):
    """An example as a module; its neighbors can be imported, as when it is run."""
    monkeypatch.syspath_prepend(str(path.parent))
    return example_scripts.load(path)


def test_an_independent_client(addresses, exported_danet):
    ovmsclient = pytest.importorskip("ovmsclient")
    client = ovmsclient.make_grpc_client(addresses["grpc_client"])
    rng = np.random.default_rng(0)
    pictures = [photo(rng, 20, 30), photo(rng, 33, 21)]
    files = [encoded(picture, "PNG") for picture in pictures]
    answer = client.predict({"image_bytes": files}, "street", timeout=60)
    for picture, png in zip(pictures, answer["label_png"], strict=True):
        labels = np.asarray(Image.open(io.BytesIO(png)))
        expected = keras_danet.segment(exported_danet[0], picture).labels
        assert (labels == expected).mean() > 0.95  # but for ties
    with pytest.raises(Exception, match="image 1: it is empty"):
        client.predict({"image_bytes": [files[0], b""]}, "street", timeout=60)


@pytest.mark.parametrize("name", ["grpc_client", "rest_client"])
def test_the_clients_send_a_file_and_get_an_overlay(
    name, addresses, exported_danet, tmp_path, monkeypatch, capsys
):
    client = load(EXAMPLES / "serving" / f"{name}.py", monkeypatch)
    picture = photo(np.random.default_rng(1), 20, 30)
    file = tmp_path / "street.jpg"
    file.write_bytes(encoded(picture, "JPEG", exif=orientation(6)))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    card = exported_danet[1] / "model_card.json"

    def ask(file):
        out = tmp_path / "overlay.png"
        monkeypatch.setattr(
            sys, "argv",
            [name, str(file), "--card", str(card), "--address", addresses[name],
             "--out", str(out)],
        )  # fmt: skip
        client.main()
        return Image.open(out)

    assert ask(file).size == (20, 30)  # turned upright
    assert "%" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="image 0: it is none of JPEG"):
        ask(tmp_path / "bad.jpg")


def test_the_example_exports(exported_danet, tmp_path, monkeypatch, capsys):
    example = load(EXAMPLES / "export.py", monkeypatch)
    exported_danet[0].save(tmp_path / "model.keras")
    given = {}

    def export(model, path, format, **settings):
        given.update(settings, path=path, format=format, model=model)
        return {"label_agreement": 1.0}

    monkeypatch.setattr(keras_danet, "export_model", export)
    picture = tmp_path / "pictures" / "0.png"
    picture.parent.mkdir()
    picture.write_bytes(encoded(photo(np.random.default_rng(0)), "PNG"))
    command = (
        f"export.py --model {tmp_path}/model.keras --out {tmp_path}/street.tflite "
        f"--format litert --precision int8 --calibration {picture.parent}"
    )
    monkeypatch.setattr(sys, "argv", command.split())
    example.main()
    assert given["precision"] == "int8" and given["calibration_images"] == [picture]
    assert given["format"] == "litert" and not given["overwrite"]
    assert given["model"].class_names == exported_danet[0].class_names
    assert "label agreement: 1.0" in capsys.readouterr().out


def test_the_batching_file_is_what_the_server_reads():
    """Named as in TensorFlow Serving's `BatchingParameters`, a wrapped number each."""
    text = (EXAMPLES / "serving" / "batching.config").read_text()
    known = {
        "max_batch_size", "batch_timeout_micros", "max_enqueued_batches",
        "num_batch_threads",
    }  # fmt: skip
    names = set()
    for line in text.splitlines():
        name, brace, word, number, end = line.split()
        assert (brace, word, end) == ("{", "value:", "}") and int(number) > 0
        names.add(name)
    assert names == known
