"""A model trained on TensorFlow predicts the same on JAX and PyTorch."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.cases import CASES, images_and_labels, predict

BUILD = """
import numpy as np, sys
from tests.cases import CASES, images_and_labels, predict
model = CASES[sys.argv[1]].build()
images, labels = images_and_labels()
model.compile()
model.fit(images, labels, epochs=2, verbose=0)
model.save(sys.argv[2])
np.save(sys.argv[3], predict(model, images))
"""
# One backend writes for the other two: a case each way round the circle.
SOURCES = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}


@pytest.mark.parametrize("name", ["danet_auxiliary", "dfdam"])
def test_file_of_another_backend(name, tmp_path, monkeypatch):
    source = SOURCES[keras.backend.backend()]
    monkeypatch.setenv("KERAS_BACKEND", source)
    path, logits = tmp_path / "model.keras", tmp_path / "logits.npy"
    subprocess.run(
        [sys.executable, "-c", BUILD, name, path, logits], check=True, timeout=600
    )
    model = keras.saving.load_model(path)
    images, labels = images_and_labels()
    np.testing.assert_allclose(predict(model, images), np.load(logits), atol=1e-4)
    assert model.compiled
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 2
    history = model.fit(images, labels, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert set(model.heads) == set(CASES[name].heads)
