"""Metrics against NumPy: exact counts of any size, unknown labels, every way to run."""

import json
import time

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.losses import CrossEntropy
from keras_danet.metrics import MeanIoU, PixelAccuracy, add_counts, counts_as_numpy
from tests.test_losses import IGNORED, batch, compiled


def numpy_confusion(labels, logits):
    """Confusion matrix as int64, one cell at a time."""
    num_classes, predicted = logits.shape[-1], logits.argmax(axis=-1)
    matrix = np.zeros((num_classes, num_classes), "int64")
    for true in range(num_classes):
        for other in range(num_classes):
            matrix[true, other] = ((labels == true) & (predicted == other)).sum()
    return matrix


def numpy_iou(matrix):
    """IoU of each class, NaN where the union is empty."""
    intersection = np.diag(matrix).astype("float64")
    with np.errstate(invalid="ignore"):
        return intersection / (matrix.sum(0) + matrix.sum(1) - intersection)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize("channel", [False, True])
def test_equal_numpy_over_several_batches(dtype, channel):
    mean_iou, accuracy = MeanIoU(num_classes=5), PixelAccuracy()
    expected = np.zeros((5, 5), "int64")
    for seed in range(3):
        logits, labels = batch(seed=seed)
        labels[labels == 4] = 1  # class 4 is predicted, never labeled
        expected += numpy_confusion(labels, logits)
        given = labels.astype(dtype)
        given = given[..., None] if channel else given
        mean_iou.update_state(given, logits)
        accuracy.update_state(given, logits)
    assert mean_iou.confusion().dtype == np.int64
    assert np.array_equal(mean_iou.confusion(), expected)
    assert np.array_equal(mean_iou.per_class(), numpy_iou(expected))
    assert mean_iou.per_class()[4] == 0
    assert float(mean_iou.result()) == pytest.approx(numpy_iou(expected).mean(), 1e-6)
    share = np.diag(expected).sum() / expected.sum()
    assert float(accuracy.result()) == pytest.approx(share, rel=1e-6)


def test_absent_classes_are_left_out():
    logits = np.eye(6, dtype="float32")[[[[0, 1, 1, 2]]]]
    labels = np.array([[[0, 1, 2, IGNORED]]])
    metric = MeanIoU(6)
    metric.update_state(labels, logits)
    expected = [1, 1 / 2, 0, np.nan, np.nan, np.nan]
    assert np.array_equal(metric.per_class(), expected, equal_nan=True)
    assert float(metric.result()) == pytest.approx(0.5)


def test_nothing_seen_is_zero():
    logits, labels = batch()
    for metric in (MeanIoU(5), PixelAccuracy()):
        assert float(metric.result()) == 0
        metric.update_state(np.full_like(labels, IGNORED), logits)
        assert float(metric.result()) == 0


@pytest.mark.parametrize("label", [5, 254, -1, 1.5, np.nan])
def test_an_unknown_label_makes_the_result_nan_until_the_reset(label):
    logits, labels = batch()
    wrong = labels.astype("float32")
    wrong[0, 0, :2] = label
    metric, accuracy = MeanIoU(5), PixelAccuracy()
    for each in (metric, accuracy):
        each.update_state(wrong, logits)
        each.update_state(labels, logits)
        assert np.isnan(float(each.result()))
    assert metric.unknown_labels() == accuracy.unknown_labels() == 2
    clean = labels.copy()
    clean[0, 0, :2] = IGNORED
    expected = numpy_confusion(clean, logits) + numpy_confusion(labels, logits)
    assert np.array_equal(metric.confusion(), expected)
    for each in (metric, accuracy):
        each.reset_state()
        each.update_state(labels, logits)
        assert np.isfinite(float(each.result()))


def test_exact_past_2_to_the_24_pixels_in_one_batch():
    labels = np.ones((1, 4099, 4099), "uint8")
    logits = np.zeros((1, 4099, 4099, 2), "float32")
    logits[..., 1] = 1
    logits[0, :3, :5, 1] = -1
    labels[0, 7] = IGNORED
    metric = MeanIoU(2)
    metric.update_state(labels, logits)
    right = 4099 * 4098 - 15
    assert right > 2**24
    assert metric.confusion().tolist() == [[0, 0], [15, right]]
    assert float(metric.result()) == pytest.approx(right / (right + 15) / 2, rel=1e-6)


def test_exact_past_2_to_the_31_pixels_in_all():
    random = np.random.default_rng(0)
    low, high = np.zeros(4, "int32"), np.zeros(4, "int32")
    total = np.zeros(4, "int64")
    for largest in (2**31 - 1, 2**31 - 1, 2**20, 2**20 - 1, 2**21, 7, 2**31 - 1):
        counts = np.concatenate([[largest], random.integers(0, largest + 1, 3)])
        total += counts
        low, high = add_counts(
            ops.convert_to_tensor(low),
            ops.convert_to_tensor(high),
            ops.convert_to_tensor(counts.astype("int32")),
        )
        assert np.array_equal(counts_as_numpy(low, high), total)
        assert int(ops.max(low)) < 2**20
    assert total.max() > 2**32


def test_the_state_is_the_same_two_words_everywhere():
    logits, labels = batch()
    metric = MeanIoU(5)
    kept = [(v.name, tuple(v.shape), v.dtype) for v in metric.variables]
    assert kept == [("low", (26,), "int32"), ("high", (26,), "int32")]
    # As after a long run, and as a sum over 8 replicas: a low word above 2**20.
    low, high = metric.variables
    low.assign(np.full(26, 8 * (2**20 - 1)))
    high.assign(np.full(26, 2**20))
    before = metric.confusion()
    assert before.min() == 2**40 + 8 * (2**20 - 1)
    for word in (low, high):  # no unknown labels
        word.assign(ops.convert_to_numpy(word) * (np.arange(26) < 25))
    metric.update_state(labels, logits)
    expected = before + numpy_confusion(labels, logits)
    assert np.array_equal(metric.confusion(), expected)
    assert float(metric.result()) == pytest.approx(numpy_iou(expected).mean(), 1e-6)


def test_stateless_and_compiled():
    logits, labels = batch()
    metric = MeanIoU(5)
    if keras.backend.backend() == "tensorflow":  # its variables live outside
        compiled(metric.update_state)(labels, logits)
        found = [variable.value for variable in metric.variables]
        assert float(compiled(metric.result)()) == float(metric.result())
    else:
        state = [ops.convert_to_tensor(variable) for variable in metric.variables]
        found = compiled(metric.stateless_update_state)(state, labels, logits)
        assert metric.confusion().sum() == 0
        mean = numpy_iou(numpy_confusion(labels, logits)).mean()
        assert float(metric.stateless_result(found)) == pytest.approx(mean, rel=1e-6)
    counts = counts_as_numpy(*found)[:-1].reshape(5, 5)
    assert np.array_equal(counts, numpy_confusion(labels, logits))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_evaluate_on_any_size(jit_compile):
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("PyTorch's compiler is not Keras's default")
    inputs = keras.Input((None, None, 5))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile(
        loss=CrossEntropy(),
        metrics=[MeanIoU(5), PixelAccuracy()],
        jit_compile=jit_compile,
    )
    logits, labels = batch(shape=(4, 6, 7))
    found = model.evaluate(
        logits, labels.astype("uint8"), batch_size=3, verbose=0, return_dict=True
    )
    expected = numpy_confusion(labels, logits)
    assert found["mean_iou"] == pytest.approx(numpy_iou(expected).mean(), rel=1e-6)
    share = np.diag(expected).sum() / expected.sum()
    assert found["pixel_accuracy"] == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("metric", [MeanIoU(7, ignore_class=0), PixelAccuracy(-1, "a")])
def test_saved_and_restored(metric):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    assert config["registered_name"] == f"keras_danet>{type(metric).__name__}"
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == metric.get_config()


def test_bad_arguments():
    logits, labels = batch()
    with pytest.raises(ValueError, match="num_classes=1"):
        MeanIoU(num_classes=1)
    with pytest.raises(ValueError, match="num_classes=6. Received: 5 logits"):
        MeanIoU(num_classes=6).update_state(labels, logits)
    with pytest.raises(ValueError, match="does not fit the logits"):
        PixelAccuracy().update_state(labels[:, 1:], logits)
    for metric in (MeanIoU(5), PixelAccuracy()):
        with pytest.raises(ValueError, match=r"weighted_metrics.*\(3, 6, 7\)"):
            metric.update_state(labels, logits, sample_weight=np.ones((3, 6, 7)))


def test_50_times_faster_than_keras_on_pytorch():
    if keras.backend.backend() != "torch":
        pytest.skip("Keras's own metric is slow on PyTorch only")
    import torch

    logits, labels = batch(num_classes=19, shape=(1, 256, 256))
    theirs = keras.metrics.MeanIoU(19, ignore_class=IGNORED, sparse_y_pred=False)
    ours, seconds = MeanIoU(19), {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, another process's load would be measured
    for metric, times in ((ours, 5), (theirs, 1)):
        durations = []
        for _ in range(times):
            start = time.process_time()
            metric.update_state(labels, logits)
            durations.append(time.process_time() - start)
        seconds[metric] = min(durations)
    torch.set_num_threads(threads)
    assert 50 * seconds[ours] < seconds[theirs]
    ours.reset_state()
    ours.update_state(labels, logits)
    assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-5)
