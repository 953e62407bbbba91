"""With JAX or PyTorch, training on arrays and a PyDataset needs no TensorFlow."""

import subprocess
import sys

import keras
import pytest

CODE = """
import sys

from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

ABSENT = {"tensorflow", "tensorflow_text", "tensorflow_datasets"}

class WithoutTensorFlow(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            return None
        return super().find_spec(name, path, target)

sys.meta_path = [BuiltinImporter, FrozenImporter, WithoutTensorFlow]
import keras
import keras_danet
from tests.cases import CASES, images_and_labels

images, labels = images_and_labels(2, 24, 32)

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return images, labels

for name in ("danet", "dfdam"):
    model = CASES[name].build()
    model.compile()
    model.fit(images, labels, verbose=0)
    model.fit(Batches(), verbose=0)
    model.evaluate(images, labels, verbose=0)
    model.predict(images, verbose=0)
keras_danet.CrossEntropy(average="all")(labels, model(images))
try:
    keras_danet.data.scenes(1)
except ModuleNotFoundError as error:
    assert "pip install tensorflow" in str(error), error
else:
    raise SystemExit("data.scenes worked without TensorFlow?")
assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
print("fine")
"""


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="this backend is TensorFlow"
)
def test_everything_but_data_and_export():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert found.stdout.strip().endswith("fine"), found.stderr[-3000:]
