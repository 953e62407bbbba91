"""Files of the first release load for ever: names, weight layout, compiled state."""

import keras
import numpy as np
import pytest

import keras_danet
from tests.cases import predict
from tests.first_release import FOLDER, IMAGES, MAPS


@pytest.mark.parametrize(("name", "inputs"), [("danet", IMAGES), ("layers", MAPS)])
def test_file_of_0_1_0(name, inputs):
    model = keras.saving.load_model(FOLDER / f"{name}_0.1.0.keras")
    expected = np.load(FOLDER / f"{name}_0.1.0.npy")
    np.testing.assert_allclose(predict(model, inputs), expected, atol=1e-4)


def test_training_goes_on():
    model = keras.saving.load_model(FOLDER / "danet_0.1.0.keras")
    assert isinstance(model, keras_danet.SegmentationModel)
    assert model.class_names == ["a", "b", "c"]
    assert model.head_weights["auxiliary"] == 0.3
    assert model.optimizer.head_multiplier == 10.0
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 1
    slots = [
        keras.ops.convert_to_numpy(variable)
        for variable in model.optimizer.variables
        if "momentum" in variable.path
    ]
    assert slots and any(np.abs(slot).max() > 0 for slot in slots)
    history = model.fit(IMAGES, IMAGES[..., 0] % 3, verbose=0).history
    assert set(history) >= {"loss", "auxiliary_loss", "mean_iou", "pixel_accuracy"}
