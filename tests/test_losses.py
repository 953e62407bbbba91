"""Losses against the reference's numbers and NumPy; void and unknown labels; fit."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.losses import CrossEntropy, Dice, LovaszSoftmax, OHEMCrossEntropy
from keras_danet.metrics import MeanIoU, PixelAccuracy
from keras_danet.optimizers import SGD, poly_decay
from tests.gradients import gradients
from tests.shared import SHARED, needs_shared

ROOT = Path(__file__).resolve().parents[1]
IGNORED = 255
LOSSES = [
    CrossEntropy(),
    CrossEntropy(average="all", class_weights=[0.5, 1.0, 2.0, 0.0, 3.0]),
    OHEMCrossEntropy(threshold=0.3, min_kept=7),
    OHEMCrossEntropy(threshold=None, min_kept=7, average="kept"),
    LovaszSoftmax(),
    LovaszSoftmax(per_image=True, classes="all"),
    Dice(),
]
FIXTURES = {
    "ce_valid": CrossEntropy(),
    "ce_all": CrossEntropy(average="all"),
    "ohem_t0.7_k1000": OHEMCrossEntropy(0.7, 1000),
    "ohem_t0.7_k1000_valid": OHEMCrossEntropy(0.7, 1000, average="labelled"),
    "ohem_t0.7_k1800": OHEMCrossEntropy(0.7, 1800),
    "ohem_t0.7_k100000": OHEMCrossEntropy(0.7, 100_000),
    "ohem_topk_k700": OHEMCrossEntropy(None, 700),
    "ohemce_t0.7_k1000": OHEMCrossEntropy(0.7, 1000, average="kept"),
    "ohemce_t0.7_k3600": OHEMCrossEntropy(0.7, 3600, average="kept"),
    "lovasz_present_batch": LovaszSoftmax(),
    "lovasz_present_image": LovaszSoftmax(per_image=True),
    "lovasz_all_batch": LovaszSoftmax(classes="all"),
}


def name_of(loss):
    return f"{loss.name}-{'-'.join(str(v) for v in loss.get_config().values())}"


def batch(num_classes=5, shape=(3, 6, 7), ignored=0.2, seed=0):
    """Random logits (B, H, W, K) and int64 labels (B, H, W) with ignored pixels."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(*shape, num_classes)).astype("float32") * 2
    labels = random.integers(0, num_classes, shape)
    labels[random.random(shape) < ignored] = IGNORED
    return logits, labels


def log_softmax(logits):
    logits = logits.astype("float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def numpy_cross_entropy(labels, logits):
    """Cross-entropy of each pixel, float64 (B, H, W); 0 at ignored ones."""
    safe = np.where(labels == IGNORED, 0, labels)
    values = -np.take_along_axis(log_softmax(logits), safe[..., None], -1)[..., 0]
    return np.where(labels == IGNORED, 0.0, values)


def numpy_dice(labels, logits):
    """Dice loss over the labeled pixels, pixel by pixel lists, class by class."""
    labelled = labels != IGNORED
    probabilities = np.exp(log_softmax(logits))[labelled]
    truth = labels[labelled]
    losses = []
    for class_id in np.unique(truth):
        predicted, is_class = probabilities[:, class_id], truth == class_id
        overlap = predicted[is_class].sum()
        losses.append(1 - 2 * overlap / (predicted.sum() + is_class.sum()))
    return np.mean(losses)


def compiled(function):
    """`function` as each backend compiles it; PyTorch runs it as it is."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


@needs_shared
@pytest.mark.parametrize("case", FIXTURES)
def test_reference_value_and_gradient(case):
    folder = SHARED / "fixtures" / "losses"
    expected = json.loads((folder / "meta.json").read_text())["cases"][case]
    with np.load(folder / "losses.npz") as stored:
        logits = np.moveaxis(stored["logits"], 1, -1)
        labels = stored["labels"]
        key = f"grad/{case}"
        if key in stored:
            gradient, step = stored[key], (1, 1)
        else:
            gradient, step = stored[f"gradsub/{case}"], (2, 3)
    loss = FIXTURES[case]
    assert float(loss(labels, logits)) == pytest.approx(expected["loss"], abs=1e-5)
    (found,) = gradients(lambda x: loss(labels, x), [], logits)
    found = np.moveaxis(found, -1, 1)[:, :, :: step[0], :: step[1]]
    difference = np.abs(found - gradient)
    if case.startswith("lovasz"):  # near ties may swap two pixels
        difference -= 5e-9
    assert difference.max() <= 1e-3 * expected["grad_max"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float32"])
@pytest.mark.parametrize("channel", [False, True])
def test_cross_entropy_takes_any_label_map(dtype, channel):
    logits, labels = batch()
    expected = numpy_cross_entropy(labels, logits).sum() / (labels != IGNORED).sum()
    given = labels.astype(dtype)
    given = given[..., None] if channel else given
    assert float(CrossEntropy()(given, logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("average", ["labelled", "all"])
def test_cross_entropy_class_weights(average):
    logits, labels = batch()
    weights = np.array([0.5, 1.0, 2.0, 0.0, 3.0])
    pixel = np.where(labels == IGNORED, 0.0, weights[np.where(labels < 5, labels, 0)])
    count = pixel.sum() if average == "labelled" else labels.size
    expected = (numpy_cross_entropy(labels, logits) * pixel).sum() / count
    loss = CrossEntropy(class_weights=weights, average=average)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "shape", [(), (3,), (3, 1), (3, 1, 1), (3, 6, 7), (3, 6, 7, 1)]
)
def test_sample_weights_multiply_the_terms(shape):
    logits, labels = batch()
    weight = np.random.default_rng(1).random(shape).astype("float32")
    pixel = weight.reshape(shape[:3] + (1,) * (3 - len(shape)))
    expected = (numpy_cross_entropy(labels, logits) * pixel).sum()
    expected /= (labels != IGNORED).sum()
    found = float(CrossEntropy()(labels, logits, sample_weight=weight))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy, OHEMCrossEntropy, LovaszSoftmax, Dice],
    ids=lambda c: c.__name__,
)
def test_no_ignored_class(loss):
    """Every label is a class then: as with one that does not occur, and 255 is NaN."""
    logits, labels = batch()
    void = loss(ignore_class=None)(labels, logits)
    labels[labels == IGNORED] = 0
    expected = float(loss()(labels, logits))
    assert float(loss(ignore_class=None)(labels, logits)) == pytest.approx(expected)
    assert np.isnan(float(void))


@pytest.mark.parametrize("ignored", [-1, 0])
def test_another_ignored_class(ignored):
    logits, labels = batch()
    labels = np.where(labels == IGNORED, ignored, labels)
    count = (labels != ignored).sum()
    expected = numpy_cross_entropy(
        np.where(labels == ignored, IGNORED, labels), logits
    ).sum()
    found = float(CrossEntropy(ignore_class=ignored)(labels, logits))
    assert found == pytest.approx(expected / count, rel=1e-6)


def test_dice_equals_numpy():
    logits, labels = batch()
    labels[labels == 3] = 2  # a class that does not occur
    assert float(Dice()(labels, logits)) == pytest.approx(
        numpy_dice(labels, logits), rel=1e-5
    )


def test_dice_equals_keras_where_every_pixel_is_labeled():
    logits, labels = batch(ignored=0.0)
    truth = np.eye(5, dtype="float32")[labels]
    per_class = keras.losses.Dice(axis=(0, 1, 2))
    expected = float(ops.mean(per_class(truth, ops.softmax(logits))))
    assert float(Dice()(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_lovasz_at_zero_and_at_one_errors_is_the_jaccard_loss():
    """With probabilities of 0 and 1 the extension equals the set function."""
    _, labels = batch(ignored=0.3, seed=3)
    predicted = np.random.default_rng(4).integers(0, 5, labels.shape)
    logits = np.eye(5, dtype="float32")[predicted] * 200
    labelled = labels != IGNORED
    ious = []
    for class_id in range(5):
        truth, positive = labels == class_id, (predicted == class_id) & labelled
        ious.append((truth & positive).sum() / (truth | positive).sum())
    found = float(LovaszSoftmax()(labels, logits))
    assert found == pytest.approx(1 - np.mean(ious), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_ignored_pixels_change_nothing(loss):
    logits, labels = batch()
    changed = logits + 50 * (labels == IGNORED)[..., None] * logits[..., ::-1]
    expected = float(loss(labels, logits))
    assert float(loss(labels, changed)) == pytest.approx(expected, rel=1e-6)
    (gradient,) = gradients(lambda x: loss(labels, x), [], logits)
    assert np.abs(gradient[labels == IGNORED]).max() == 0
    assert np.abs(gradient[labels != IGNORED]).max() > 0


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_nothing_labeled_is_zero_with_zero_gradient(loss):
    logits, labels = batch()
    labels[:] = IGNORED
    assert float(loss(labels, logits)) == 0
    (gradient,) = gradients(lambda x: loss(labels, x), [], logits)
    assert np.abs(gradient).max() == 0


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_unknown_label_is_nan_and_never_a_crash(loss):
    logits, labels = batch()
    eager, quick = float(loss(labels, logits)), compiled(loss)
    assert float(quick(labels.astype("float32"), logits)) == pytest.approx(eager, 1e-6)
    for label in (5, 254, -1, 2.5, np.nan, 2**31 + 1):
        labels = labels.astype("float32")
        labels[1, 2, 3] = label
        assert np.isnan(float(quick(labels, logits))), label
        assert np.isnan(float(loss(labels, logits))), label
    (gradient,) = gradients(lambda x: loss(labels, x), [], logits)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_only_unknown_labels_is_nan(loss):
    logits, labels = batch()
    assert np.isnan(float(loss(np.full_like(labels, 77), logits)))


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_computed_in_float32_whatever_the_policy(loss):
    logits, labels = batch()
    half = logits.astype("float16")
    keras.config.set_dtype_policy("mixed_float16")
    found = loss(labels.astype("uint8"), ops.convert_to_tensor(half))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert float(found) == pytest.approx(float(loss(labels, half)), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_diverged_logits_are_seen(loss):
    logits, labels = batch()
    logits[1, 2, 3] = np.nan
    labels[1, 2, 3] = 1
    assert np.isnan(float(loss(labels, logits)))


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_saved_and_restored(loss):
    logits, labels = batch()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert config["registered_name"] == f"keras_danet>{type(loss).__name__}"
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == loss.get_config()
    assert float(restored(labels, logits)) == float(loss(labels, logits))


def test_ohem_keeps_exactly_the_count_among_ties():
    logits, labels = np.zeros((2, 4, 5, 3), "float32"), np.zeros((2, 4, 5), "uint8")
    loss = OHEMCrossEntropy(threshold=None, min_kept=3)
    assert float(loss(labels, logits)) == pytest.approx(np.log(3) * 6 / 40)
    weighted = loss(labels, logits, sample_weight=np.array([2.0, 2.0]))
    assert float(weighted) == pytest.approx(np.log(3) * 12 / 40)


def test_lovasz_weighs_images():
    logits, labels = batch()
    loss = LovaszSoftmax(per_image=True)
    single = [float(loss(labels[i : i + 1], logits[i : i + 1])) for i in range(3)]
    found = float(loss(labels, logits, sample_weight=np.array([[1.0], [0.0], [2.0]])))
    assert found == pytest.approx((single[0] + 2 * single[2]) / 3, rel=1e-5)


@pytest.mark.parametrize(
    "shape", [(3, 6, 8), (3, 6, 7, 5), (3, 6, 7, 3), (3, 42), (2, 6, 7), (3, 12, 14, 1)]
)
def test_a_label_map_that_does_not_fit(shape):
    logits, _ = batch()
    with pytest.raises(ValueError, match="does not fit the logits") as error:
        CrossEntropy()(np.zeros(shape, "uint8"), logits)
    assert str(shape) in str(error.value) and "(3, 6, 7, 5)" in str(error.value)


def test_bad_arguments():
    logits, labels = batch()
    with pytest.raises(ValueError, match="4 axes.*Received"):
        CrossEntropy()(labels, logits[..., 0])
    with pytest.raises(ValueError, match="3 class weights do not fit.*5 classes"):
        CrossEntropy(class_weights=[1, 2, 3])(labels, logits)
    for weights in ([1, -1], [np.nan], [], [np.inf], {0: 1.0}):
        with pytest.raises(ValueError, match="class_weights.*Received"):
            CrossEntropy(class_weights=weights)
    for weights in ([[1, 2, 3, 4, 5]], "balanced", 1.0):
        with pytest.raises(ValueError, match="flat sequence.*Received"):
            CrossEntropy(class_weights=weights)
    for loss in (CrossEntropy, OHEMCrossEntropy, LovaszSoftmax, Dice):
        with pytest.raises(ValueError, match="ignore_class='255'"):
            loss(ignore_class="255")
    with pytest.raises(ValueError, match="average.*'labeled'"):
        CrossEntropy(average="labeled")
    with pytest.raises(ValueError, match="average.*'mean'"):
        OHEMCrossEntropy(average="mean")
    with pytest.raises(ValueError, match="threshold=70"):
        OHEMCrossEntropy(threshold=70)
    with pytest.raises(ValueError, match="threshold='0.7'"):
        OHEMCrossEntropy(threshold="0.7")
    for kept in (0, 1.5, None):
        with pytest.raises(ValueError, match=f"min_kept={kept}"):
            OHEMCrossEntropy(min_kept=kept)
    with pytest.raises(ValueError, match="classes='absent'"):
        LovaszSoftmax(classes="absent")


def test_sample_weights_that_do_not_fit():
    logits, labels = batch()
    with pytest.raises(ValueError, match=r"sample_weight.shape=\(3, 6\)"):
        CrossEntropy()(labels, logits, sample_weight=np.ones((3, 6)))
    with pytest.raises(ValueError, match=r"\(3, 6, 7\)"):
        LovaszSoftmax(per_image=True)(labels, logits, np.ones((3, 6, 7)))
    for loss in (LovaszSoftmax(), Dice()):
        with pytest.raises(ValueError, match=r"cannot weigh.*\(3,\)"):
            loss(labels, logits, sample_weight=np.ones(3))


@pytest.mark.parametrize("loss", LOSSES[:1] + LOSSES[2:], ids=name_of)
def test_fit_on_any_size(loss):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(5, 1)(inputs))
    model.compile(keras.optimizers.SGD(0.1), loss)
    images = np.random.default_rng(0).random((3, 6, 7, 3), "float32")
    labels = (images.sum(axis=-1) * 5 / 3).astype("uint8")
    history = model.fit(images, labels, epochs=4, verbose=0).history["loss"]
    assert history[-1] < history[0]
    if isinstance(loss, CrossEntropy):
        once = model.evaluate(images, labels, verbose=0)
        weight = np.full(3, 2.0)
        double = model.evaluate(images, labels, sample_weight=weight, verbose=0)
        assert double == pytest.approx(2 * once, rel=1e-5)


def global_losses(y_true, y_pred):
    """The sum of those losses that say that N replicas equal one device."""
    losses = [
        CrossEntropy(average="all", class_weights=[1.0, 2.0, 0.5]),
        OHEMCrossEntropy(threshold=0.4, min_kept=1, average="kept"),
        LovaszSoftmax(per_image=True),
        Dice(),
    ]
    return sum(loss(y_true, y_pred) for loss in losses)


def train_on_replicas(loss, clipnorm, distribution, path):
    """Five steps of a tiny model on 19 images; weights and logs go to `path`.

    The second half of every batch of 4, a second replica's share, is less labeled than
    the first, once not at all; the last batch has 3 images. Runs in its own process.
    """
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    images = random.random((19, 5, 6, 3), "float32")
    labels = (images.sum(axis=-1)).astype("uint8")
    labels[random.random(labels.shape) < 0.1] = IGNORED
    labels[2::4][random.random(labels[2::4].shape) < 0.8] = IGNORED
    labels[6:8] = IGNORED
    with distribution.scope():
        model = keras.Sequential([keras.Input((None, None, 3))])
        model.add(keras.layers.Conv2D(4, 3, padding="same", activation="relu"))
        model.add(keras.layers.Conv2D(3, 1))
        rate = poly_decay(0.2, 6)
        optimizer = SGD(rate, head_multiplier=2.0, clipnorm=clipnorm)
        optimizer.set_backbone_paths(v.path for v in model.layers[0].variables)
        metric = MeanIoU(3)
        model.compile(optimizer, loss, metrics=[metric, PixelAccuracy()])
    logs = model.fit(images, labels, batch_size=4, shuffle=False, verbose=0).history
    model.evaluate(images[:16], labels[:16], batch_size=4, verbose=0)
    confusion = metric.confusion()
    np.savez(path, *model.get_weights(), confusion=confusion, **logs)


def train_on_mirrored_replicas(path):
    """`train_on_replicas` on two logical CPU devices and on one, for two losses."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    # One strategy for all: a second one in a process reuses the collectives' keys.
    strategies = {
        1: tf.distribute.get_strategy(),
        2: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    cases = {"mean": (CrossEntropy(), None), "sum": (global_losses, 0.5)}
    for name, case in cases.items():
        for replicas, strategy in strategies.items():
            train_on_replicas(*case, strategy, f"{path}/{name}{replicas}.npz")


def test_mirrored_replicas_equal_one_device(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute is TensorFlow's")
    command = "from tests.test_losses import train_on_mirrored_replicas as train; "
    command += f"train({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", command], check=True, cwd=ROOT)
    for name in ("mean", "sum"):
        one = np.load(tmp_path / f"{name}1.npz")
        two = np.load(tmp_path / f"{name}2.npz")
        assert np.array_equal(one["confusion"], two["confusion"])
        for key in one.files:
            difference = np.abs(one[key] - two[key]).max()
            assert difference <= 1e-5 * np.abs(one[key]).max(), (name, key)
