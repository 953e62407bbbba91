"""Every builder of the table x every invariant."""

import json

import keras
import numpy as np
import pytest

import keras_danet
from tests.cases import CASES, NUM_CLASSES, enliven, images_and_labels, predict
from tests.gradients import gradients

SIZES = [(1, 1), (7, 9), (33, 65), (50, 61)]


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def model(case):
    keras.utils.set_random_seed(0)
    model = case.build()
    enliven(model)
    return model


def test_heads_and_output(case, model):
    assert isinstance(model, keras_danet.SegmentationModel)
    assert isinstance(model, keras.Model)
    assert set(model.heads) == set(case.heads)
    assert model.heads[0] == "fused"
    assert model.output_shape == (None, None, None, NUM_CLASSES)
    assert model.num_classes == NUM_CLASSES
    for head in case.heads:
        assert model.get_layer(f"{head}_logits").filters == NUM_CLASSES


@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back(model, size):
    logits = model(np.full((1, *size, 3), 127, "uint8"))
    assert tuple(logits.shape) == (1, *size, NUM_CLASSES)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(keras.ops.convert_to_numpy(logits)).all()


def test_training_gives_every_head_at_full_size(case, model):
    images, _ = images_and_labels(1, 17, 23)
    logits = model(images, training=True)
    assert set(logits) == set(case.heads)
    assert {tuple(x.shape) for x in logits.values()} == {(1, 17, 23, NUM_CLASSES)}


def test_gradients_reach_every_weight(case, model):
    images, labels = images_and_labels(2, 40, 48)
    loss = keras_danet.CrossEntropy()
    weights = model.trainable_variables

    def total(images):
        logits = model(images, training=True)
        return sum(loss(labels, x) for x in logits.values())

    found = gradients(total, weights, [keras.ops.cast(images, "float32")])
    for weight, gradient in zip(weights, found, strict=False):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        # A constant added to every key shifts each row of energies alike, which the
        # softmax does not see.
        if not weight.path.endswith("key/bias"):
            assert np.abs(gradient).max() > 0, weight.path


def test_one_label_map_trains_all_heads(case):
    model = case.build()
    images, labels = images_and_labels()
    before = model.get_weights()
    model.compile()
    history = model.fit(
        images,
        labels[..., None],
        batch_size=2,
        verbose=0,
        validation_data=(images, labels),
    ).history
    expected = {"loss", "mean_iou", "val_loss", "val_mean_iou"}
    if len(case.heads) > 1:
        expected |= {f"{head}_loss" for head in case.heads}
        total = sum(model.head_weights[h] * history[f"{h}_loss"][0] for h in case.heads)
        np.testing.assert_allclose(history["loss"][0], total, rtol=1e-5)
    assert set(history) == expected
    assert all(np.isfinite(values).all() for values in history.values())
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert np.mean(moved) > 0.9
    results = model.evaluate(images, labels, return_dict=True, verbose=0)
    assert set(results) == {"loss", "mean_iou"}
    assert model.predict(images, verbose=0).shape == (*labels.shape, NUM_CLASSES)


def test_mixed_bfloat16(case):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = case.build()
    images, labels = images_and_labels(2, 33, 40)
    model.compile()
    history = model.fit(images, labels, verbose=0).history
    assert np.isfinite(history["loss"][0])
    logits = model(images)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.weights} == {
        "float32"
    }


def test_saved_and_loaded(model, tmp_path):
    images, _ = images_and_labels()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is keras_danet.SegmentationModel
    assert loaded.head_weights == model.head_weights
    np.testing.assert_allclose(
        predict(loaded, images), predict(model, images), atol=1e-5
    )
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(
        predict(clone, images), predict(model, images), atol=1e-5
    )


@pytest.mark.once
def test_published_parameter_counts():
    def trainable(model):
        return sum(int(np.prod(v.shape)) for v in model.trainable_variables)

    assert trainable(keras_danet.DFDAM(19, "resnet_18")) == 11_573_130  # 11.57 M
    assert trainable(keras_danet.DFDAM(21, "resnet_101")) == 43_241_232  # 43.24 M
    assert trainable(keras_danet.DANet(19, "resnet_50")) == 47_462_651
    assert trainable(keras_danet.DANet(19, "resnet_v1s_50")) == 47_586_427
    model = keras_danet.DANet(19, "resnet_v1c_50", auxiliary_head=True)
    assert trainable(model) == 49_846_574


def test_static_image_shape():
    model = CASES["dfdam"].build(image_shape=(40, 48, 3))
    assert model.output_shape == (None, 40, 48, NUM_CLASSES)
    assert model(np.zeros((1, 40, 48, 3))).shape == (1, 40, 48, NUM_CLASSES)


def test_heads_start_from_different_weights_that_the_seed_decides():
    def kernels():
        keras.utils.set_random_seed(3)
        model = CASES["danet"].build()
        names = ("position_in_conv", "channel_in_conv", "fused_logits")
        return [model.get_layer(name).get_weights()[0] for name in names]

    first, second = kernels(), kernels()
    assert not np.array_equal(first[0], first[1])
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
