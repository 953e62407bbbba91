"""The README's fine-tuning comforts, each on one tiny DF-DAM."""

import keras
import numpy as np
import pytest

import keras_danet
from tests.cases import CASES, images_and_labels, predict

SIZE = (24, 32)


@pytest.fixture(scope="module")
def trained():
    """A model as if trained on other classes: never changed by a test."""
    keras.utils.set_random_seed(0)
    return CASES["dfdam"].build(class_names=list("abcde"))


def arrays(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def same(some, others):
    return [np.array_equal(a, b) for a, b in zip(some, others, strict=True)]


def test_new_classes_on_a_frozen_backbone(trained):
    """`with_classes` and `freeze_backbone`, then everything released."""
    images, labels = images_and_labels(2, *SIZE)
    labels[labels < 255] %= 3
    model = keras_danet.with_classes(trained, 3, ["sky", "road", "car"])
    model.compile(keras_danet.SGD(0.001, head_multiplier=10.0))
    keras_danet.freeze_backbone(model)
    before = model.backbone.get_weights()
    model.fit(images, labels, verbose=0)
    assert all(same(model.backbone.get_weights(), before))
    assert model.optimizer.head_multiplier == 10.0
    keras_danet.freeze_backbone(model, False)
    model.fit(images, labels, verbose=0)
    assert not all(same(model.backbone.get_weights(), before))
    assert predict(model, images).shape == (2, *SIZE, 3)
    assert model.class_names == ["sky", "road", "car"]
    assert trained.num_classes == 5


def test_mixed_bfloat16(trained):
    """The policy reaches a model that was built with it; weights stay float32."""
    images, labels = images_and_labels(2, *SIZE)
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = CASES["dfdam"].build()
    model.set_weights(trained.get_weights())
    model.compile(keras_danet.SGD(0.01))
    losses = model.fit(images, labels, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert model.get_layer("fused_refine_conv").compute_dtype == "bfloat16"
    assert predict(model, images).dtype == "float32"


def test_gradient_accumulation(trained):
    """Two batches of one image move the weights once."""
    images, labels = images_and_labels(2, *SIZE)
    model = keras_danet.with_classes(trained, 5)
    model.compile(keras_danet.SGD(0.01, gradient_accumulation_steps=2))
    before = arrays(model.trainable_variables)
    model.train_on_batch(images[:1], labels[:1])
    assert all(same(arrays(model.trainable_variables), before))
    model.train_on_batch(images[1:], labels[1:])
    changed = same(arrays(model.trainable_variables), before)
    assert not any(changed[index] for index in (0, len(changed) - 1))


def test_moving_average_is_what_is_evaluated_and_kept(trained):
    """Keras's `use_ema` with `SwapEMAWeights`: averages of the trained weights."""
    images, labels = images_and_labels(2, *SIZE)
    model = keras_danet.with_classes(trained, 5)
    model.compile(keras_danet.SGD(0.05, use_ema=True, ema_momentum=0.5))
    model.train_on_batch(images, labels)
    # Keras's average starts with the weights after the first step.
    expected = arrays(model.trainable_variables)
    for _ in range(2):
        model.train_on_batch(images, labels)
        steps = arrays(model.trainable_variables)
        expected = [
            0.5 * average + 0.5 * now
            for average, now in zip(expected, steps, strict=True)
        ]
    swap = keras.callbacks.SwapEMAWeights()
    swapped = []
    look = keras.callbacks.LambdaCallback(
        # Later JAX holds the weights itself.
        on_test_begin=lambda logs=None: swapped.extend(
            arrays(model.trainable_variables)
        )
    )
    model.evaluate(images, labels, verbose=0, callbacks=[swap, look])
    for average, weight, now in zip(expected, swapped, steps, strict=True):
        np.testing.assert_allclose(weight, average, atol=1e-5)
        assert not np.array_equal(weight, now) or not now.any()
    # TensorFlow swaps by adding and subtracting.
    for weight, now in zip(arrays(model.trainable_variables), steps, strict=True):
        np.testing.assert_allclose(weight, now, atol=1e-6)
