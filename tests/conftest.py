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


@pytest.fixture(scope="session")
def exported_danet(tmp_path_factory):
    """(a tiny DANet, the folder of its SavedModel), made once for all who read it."""
    import keras_danet
    from tests.cases import CASES

    keras.utils.set_random_seed(0)
    names = ["sky", "building", "road", "car", "person"]
    model = CASES["danet"].build(class_names=names)
    path = tmp_path_factory.mktemp("models") / "street" / "1"
    report = keras_danet.export_model(model, path, max_pixels=2**20)
    assert report["largest_logit_difference"] < 1e-5
    return model, path


@pytest.fixture(scope="session")
def served_danet(exported_danet):
    """That SavedModel in a session, as TensorFlow's C++ loader restores it."""
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    from tests.serving import Served

    return Served(exported_danet[1])
