"""Settings of every test process: one backend, one seed."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import pytest


def pytest_collection_modifyitems(config, items):
    """Tests marked `once` see no backend; they run beside TensorFlow's alone."""
    if keras.backend.backend() == "tensorflow":
        return
    once = [item for item in items if item.get_closest_marker("once")]
    config.hook.pytest_deselected(items=once)
    items[:] = [item for item in items if item not in once]


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state and the float32 policy."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
