"""Compiling, labels and errors of the model, on one tiny DF-DAM."""

import keras
import numpy as np
import pytest

import keras_danet
from tests.cases import CASES, NUM_CLASSES, images_and_labels, predict


@pytest.fixture(scope="module")
def model():
    model = CASES["dfdam"].build(class_names=list("abcde"))
    model.compile()
    return model


def values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_defaults_are_the_papers(model):
    assert isinstance(model.optimizer, keras_danet.SGD)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == (
        pytest.approx(0.01)
    )
    assert model.optimizer.get_config()["momentum"] == 0.9
    assert model.optimizer.get_config()["weight_decay"] == 5e-4
    assert model.head_weights == {"fused": 1.0, "context": 0.4, "spatial": 0.1}
    assert isinstance(model.loss, keras_danet.CrossEntropy)
    danet = CASES["danet_auxiliary"].build()
    danet.compile()
    assert danet.optimizer.get_config()["weight_decay"] == 1e-4
    expected = {"fused": 1.0, "position": 1.0, "channel": 1.0, "auxiliary": 0.4}
    assert danet.head_weights == expected


def test_compiled_state_survives_saving(tmp_path):
    model = CASES["dfdam"].build(class_names=list("abcde"))
    images, labels = images_and_labels()
    model.compile(
        keras_danet.SGD(
            keras_danet.poly_decay(0.01, 10), weight_decay=1e-3, head_multiplier=10.0
        ),
        keras_danet.CrossEntropy(class_weights=[1, 2, 3, 4, 5]),
        [keras_danet.MeanIoU(NUM_CLASSES), keras_danet.PixelAccuracy()],
        head_weights={"context": 0.7},
    )
    model.fit(images, labels, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.compiled
    assert loaded.class_names == list("abcde")
    assert loaded.head_weights == {"fused": 1.0, "context": 0.7, "spatial": 0.1}
    assert loaded.get_compile_config()["jit_compile"] == "auto"
    slots = zip(
        values(model.optimizer.variables),
        values(loaded.optimizer.variables),
        strict=True,
    )
    for slot, loaded_slot in slots:
        np.testing.assert_array_equal(slot, loaded_slot)
    a = model.fit(images, labels, verbose=0).history
    b = loaded.fit(images, labels, verbose=0).history
    assert a.keys() == b.keys()
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    for first, second in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=2e-6)


def test_head_multiplier_reaches_all_but_the_backbone():
    images, labels = images_and_labels()
    moves = {}
    for multiplier in (1.0, 10.0):
        keras.utils.set_random_seed(0)
        model = CASES["dfdam"].build()
        model.compile(keras_danet.SGD(0.001, 0.0, 0.0, head_multiplier=multiplier))
        before = values(model.trainable_variables)
        model.train_on_batch(images, labels)
        moves[multiplier] = [
            np.abs(now - then).sum()
            for now, then in zip(values(model.trainable_variables), before, strict=True)
        ]
    backbone = {v.path for v in model.backbone.trainable_variables}
    for variable, one, ten in zip(
        model.trainable_variables, *moves.values(), strict=True
    ):
        if one > 1e-4:  # below it float32 rounds the weight's move
            expected = 1 if variable.path in backbone else 10
            assert ten / one == pytest.approx(expected, rel=0.05), variable.path


def test_frozen_backbone_keeps_weights_and_statistics(tmp_path):
    images, labels = images_and_labels()
    model = CASES["dfdam"].build()
    model.compile()
    keras_danet.freeze_backbone(model).save(tmp_path / "frozen.keras")
    for frozen in (model, keras.saving.load_model(tmp_path / "frozen.keras")):
        before = frozen.backbone.get_weights()
        head = frozen.get_layer("fused_logits").get_weights()[0]
        frozen.fit(images, labels, verbose=0)
        for now, then in zip(frozen.backbone.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
        assert not np.array_equal(
            frozen.get_layer("fused_logits").get_weights()[0], head
        )
    keras_danet.freeze_backbone(frozen, False).fit(images, labels, verbose=0)
    changed = zip(frozen.backbone.get_weights(), before, strict=True)
    assert any(not np.array_equal(now, then) for now, then in changed)


def test_with_classes_keeps_all_but_the_classifiers(model):
    images, labels = images_and_labels()
    new = keras_danet.with_classes(model, 3, ["x", "y", "z"])
    assert new.output_shape[-1] == new.num_classes == 3
    assert new.class_names == ["x", "y", "z"]
    assert model.output_shape[-1] == NUM_CLASSES
    for name in ("backbone", "dafm", "pam2d", "fused_refine_conv"):
        pairs = zip(
            new.get_layer(name).get_weights(),
            model.get_layer(name).get_weights(),
            strict=True,
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)
    new.compile()
    new.fit(images, labels % 3, verbose=0)
    with pytest.raises(ValueError, match="at least 2"):
        keras_danet.with_classes(model, 1)


def test_a_part_of_another_model(model):
    images, _ = images_and_labels()
    image = keras.Input((None, None, 3))
    outer = keras.Model(image, keras.ops.softmax(model(image)))
    expected = predict(lambda x: keras.ops.softmax(model(x)), images)
    np.testing.assert_allclose(predict(outer, images), expected, atol=1e-5)


def test_sample_weight_of_each_shape(model):
    images, labels = images_and_labels()
    for shape in ((2,), (2, 1, 1), labels.shape):
        model.recompile()
        model.fit(images, labels, sample_weight=np.ones(shape), verbose=0)


def batches(labels):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return images_and_labels()[0], labels

    return Batches()


def loader(labels):
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(x) for x in (images_and_labels()[0], labels)]
    dataset = torch.utils.data.TensorDataset(*tensors)
    return torch.utils.data.DataLoader(dataset, batch_size=2)


def tf_dataset(labels):
    tf = pytest.importorskip("tensorflow")
    images = images_and_labels()[0]
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)


def generator(labels):
    yield images_and_labels()[0], labels


@pytest.mark.parametrize("stream", [batches, loader, tf_dataset, generator])
@pytest.mark.parametrize("bad", [None, 19, -1, 1.5, np.nan])
def test_streams_are_checked_as_they_pass(model, stream, bad):
    labels = images_and_labels()[1]
    labels = labels.astype("float32" if isinstance(bad, float) else "int32")
    if bad is None:
        model.fit(stream(labels), verbose=0)
        model.evaluate(stream(labels), verbose=0)
        return
    labels[1, 7, 11] = bad
    before = model.get_weights()
    for method in (model.fit, model.evaluate):
        with pytest.raises(Exception, match="(?i)label") as caught:
            method(stream(labels), verbose=0)
        message = str(caught.value)
        assert str(bad) in message and "5 classes" in message
        assert "1, 7, 11" in message or "1 7 11" in message
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_an_error_in_predict_leaves_the_weights(model):
    images, _ = images_and_labels()
    before = model.get_weights()

    class Stop(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.predict(images, batch_size=1, callbacks=[Stop()], verbose=0)
    for bad in (images[0], images[..., :1]):
        with pytest.raises(ValueError, match="RGB images"):
            model.predict(bad, verbose=0)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert model.predict(images, verbose=0).shape == (*images.shape[:3], NUM_CLASSES)


def test_the_default_metric_ignores_what_the_loss_ignores():
    images, labels = images_and_labels()
    model = CASES["dfdam"].build()
    for ignore_class in (-1, 0):
        model.compile(loss=keras_danet.CrossEntropy(ignore_class=ignore_class))
        marked = labels.astype("int32")
        marked[np.isin(labels, (2, 255))] = ignore_class
        scores = model.evaluate(images, marked, verbose=0, return_dict=True)
        expected = keras_danet.MeanIoU(NUM_CLASSES, ignore_class)
        expected.update_state(marked, predict(model, images))
        assert scores["mean_iou"] == pytest.approx(float(expected.result()), abs=1e-4)


def test_label_maps_of_both_ranks(model):
    images, labels = images_and_labels()
    model.fit(images, labels[..., None], validation_data=(images, labels), verbose=0)
    model.fit(images, labels, validation_data=(images, labels[..., None]), verbose=0)


def test_recompiling_keeps_a_loss_of_ones_own():
    def own_loss(label, logits):
        return keras.ops.mean(logits**2)

    images, labels = images_and_labels()
    model = CASES["dfdam"].build()
    model.compile(loss=own_loss, metrics=[keras_danet.PixelAccuracy()])
    keras_danet.freeze_backbone(model)
    assert model.loss is own_loss
    assert "pixel_accuracy" in model.fit(images, labels, verbose=0).history


def test_a_compiled_clone_keeps_its_head_weights(model):
    clone = keras.models.clone_model(model)
    assert clone.head_weights == {"fused": 1.0, "context": 0.4, "spatial": 0.1}
    assert clone.optimizer.get_config()["weight_decay"] == 5e-4


def test_images_in_a_list_or_by_name(model):
    images, labels = images_and_labels()
    model.fit([images], labels, verbose=0)
    model.fit({model.inputs[0].name: images}, labels, verbose=0)


def test_an_error_in_the_data_leaves_whole_weights(model):
    images, labels = images_and_labels()

    def batches():
        yield images, labels
        raise OSError("the disk is gone")

    step = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    with pytest.raises(Exception, match="the disk is gone"):
        model.fit(batches(), verbose=0)
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) - step
    assert done in (0, 1)  # JAX reads a batch ahead
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    model.fit(images, labels, verbose=0)


def test_arrays_are_checked_first(model):
    images, labels = images_and_labels()
    before = model.get_weights()
    labels[1, 7, 11] = 19
    message = r"Label 19 stands in `y` at index \(1, 7, 11\).*5 classes, 0 to 4"
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            method(images, labels, verbose=0)
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(images, labels)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_bad_label_in_a_compiled_loss_is_nan():
    images, labels = images_and_labels()
    labels[1, 7, 11] = 19
    loss = keras_danet.CrossEntropy()
    logits = np.zeros((*labels.shape, NUM_CLASSES), "float32")
    assert np.isnan(float(loss(labels, logits)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((50, 61, 3), "batch axis"),
        ((1, 50, 61, 1), "gray"),
        ((1, 50, 61, 4), "alpha"),
        ((1, 2, 50, 61, 3), "RGB"),
    ],
)
def test_images_of_other_shapes(model, shape, message):
    with pytest.raises(ValueError, match=message):
        model(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "at least 2"),
        ({"num_classes": 2.0}, "must be an int"),
        ({"class_names": ["a"]}, "name each of the 5 classes"),
        ({"class_names": "abcde"}, "name each of the 5 classes"),
        ({"image_shape": (64, 64, 4)}, "RGB"),
        ({"image_shape": None}, "RGB"),
        ({"output_stride": 8.0}, "Received: output_stride=8.0"),
        ({"multi_grid": 4}, "Received: multi_grid=4"),
        ({"multi_grid": (4.7, 8, 16)}, "three positive dilation rates"),
        ({"preprocessing": "torch"}, "Received: preprocessing='torch'"),
        ({"attention": "both"}, "Received: attention='both'"),
        ({"channel_energy": "max"}, "'released', 'paper'"),
        ({"dropout": 1.0}, r"\[0, 1\)"),
    ],
)
def test_builder_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_danet.DANet(**{"num_classes": 5, "backbone": "resnet_18", **arguments})


def test_training_errors(model):
    images, labels = images_and_labels()
    with pytest.raises(ValueError, match="differ in number or size"):
        model.fit(images, labels[:, 1:], verbose=0)
    with pytest.raises(ValueError, match=r"CrossEntropy\(class_weights"):
        model.fit(images, labels, class_weight={0: 1.0})
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(tf_dataset(labels).repeat())
    with pytest.raises(ValueError, match="validation_steps"):
        model.fit(images, labels, validation_data=tf_dataset(labels).repeat())
    with pytest.raises(ValueError, match="pass `steps`"):
        model.evaluate(tf_dataset(labels).repeat())
    with pytest.raises(ValueError, match="larger than the data set.*steps_per_epoch=0"):
        model.fit(tf_dataset(labels).repeat(), steps_per_epoch=0)
    with pytest.raises(ValueError, match="heads fused, context, spatial"):
        model.compile(head_weights={"position": 1.0})
    with pytest.raises(ValueError, match="one loss"):
        model.compile(loss={"fused": "mse"})
    with pytest.raises(ValueError, match='no layer "backbone"'):
        keras_danet.freeze_backbone(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="a dict of head name -> logits"):
        keras_danet.SegmentationModel(model.inputs[0], {"main": model.output})
    for wrong in ("4", 4.0, 1):
        with pytest.raises(ValueError, match="an int of at least 2"):
            keras_danet.with_classes(model, wrong)
    with pytest.raises(ValueError, match="Received: Sequential"):
        keras_danet.with_classes(keras.Sequential(), 4)
