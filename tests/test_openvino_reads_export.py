"""OpenVINO reads a SavedModel's `serving_default`, without TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

import keras_danet
from tests.cases import images_and_labels
from tests.toy import tiny_danet

pytestmark = pytest.mark.once

READ = """
import sys
sys.modules["tensorflow"] = None  # an import of it fails
import numpy as np
import openvino

folder, images, labels = sys.argv[1:]
model = openvino.Core().read_model(folder)
settings = {"INFERENCE_PRECISION_HINT": "f32"}
compiled = openvino.Core().compile_model(model, "CPU", settings)
found = compiled(np.load(images))
np.save(labels, next(v for v in found.values() if v.dtype == np.uint8))
"""


def test_it_gives_the_model_s_labels(tmp_path):
    pytest.importorskip("openvino")
    model = tiny_danet()
    path = tmp_path / "street" / "1"
    keras_danet.export_model(model, path, default_signature="predict_images")
    images = images_and_labels(2, 45, 61)[0]
    np.save(tmp_path / "images.npy", images)
    files = [str(tmp_path / f"{name}.npy") for name in ("images", "labels")]
    subprocess.run([sys.executable, "-c", READ, str(path), *files], check=True)
    logits = model.predict_on_batch(images.astype("float32"))
    second, first = np.moveaxis(np.sort(logits, axis=-1)[..., -2:], -1, 0)
    right = (np.load(files[1]) == logits.argmax(-1)) | (first - second < 1e-3)
    assert right.all()
