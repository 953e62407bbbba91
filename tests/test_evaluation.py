"""evaluate: against the official metric, cityscapesscripts and scipy."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from keras_danet.evaluation import evaluate
from keras_danet.evaluation.boundary import boundary_distance, near_boundary
from keras_danet.evaluation.confusion import (
    count_confusion,
    intersection_over_union,
    mean_over_classes,
)
from tests.shared import SHARED, needs_shared
from tests.toy import Toy, tiny_danet


class Answers:
    """A network that gives prepared logits (H, W, K), one per call."""

    def __init__(self, *logits):
        self.logits = list(logits)

    def __call__(self, images):
        return self.logits.pop(0)[None]


def one_hot(labels, num_classes):
    return np.eye(num_classes, dtype="float32")[labels] * 9


def blobs(seed, size=(40, 60), classes=4, ignored=0.0):
    """A label map of smooth regions, and another one much like it."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, classes, *size))
    noise[1] = noise[0] + 0.3 * noise[1]
    smooth = ndimage.gaussian_filter(noise, (0, 0, 4, 4))
    label, other = smooth.argmax(axis=1)
    label = np.where(rng.random(size) < ignored, 255, label)
    return label.astype("uint8"), other.astype("uint8")


@needs_shared
def test_official_metric():
    with np.load(SHARED / "fixtures/evalproc/official_metric.npz") as arrays:
        labels, logits = arrays["labels"], arrays["logits"].transpose(0, 2, 3, 1)
        expected = {name: arrays[name] for name in ("pixAcc", "mIoU", "inter", "union")}
    images = np.zeros((*labels.shape, 3), "uint8")
    result = evaluate(
        Answers(*logits),
        zip(images, labels, strict=True),
        protocol="official",
        ignore_class=-1,
        verbose=0,
    )
    matrix = result.confusion_matrix
    np.testing.assert_array_equal(np.diagonal(matrix), expected["inter"])
    assert matrix.sum() == 896
    np.testing.assert_allclose(result.per_class, expected["inter"] / expected["union"])
    assert result.mean_iou == pytest.approx(float(expected["mIoU"]), abs=1e-12)
    assert result.pixel_accuracy == pytest.approx(float(expected["pixAcc"]), abs=1e-12)


@needs_shared
@pytest.mark.once
def test_an_absent_class_counts_as_zero_in_the_official_mean():
    meta = json.loads((SHARED / "fixtures/evalproc/meta.json").read_text())
    case = meta["metric_absent_class"]
    iou = np.array(case["IoU"])
    iou[3] = np.nan  # 0 there because the class occurs nowhere
    assert mean_over_classes(iou, "zero") == pytest.approx(case["mIoU"], abs=1e-9)
    assert mean_over_classes(iou, "excluded") == pytest.approx(np.nanmean(iou))


@pytest.mark.parametrize("protocol, classes", [("mmseg", 2), ("official", 3)])
def test_absent_classes_follow_the_protocol(protocol, classes):
    label = np.array([[0, 0], [1, 1]])
    logits = one_hot(np.array([[0, 0], [0, 1]]), 3)
    data = [(np.zeros((2, 2, 3), "uint8"), label)]
    result = evaluate(Answers(logits), data, protocol=protocol, verbose=0)
    assert result.mean_iou == pytest.approx((2 / 3 + 1 / 2) / classes)
    assert np.isnan(result.per_class[2])
    assert "class 2" in result.protocol["absent classes"]


def test_cityscapes_evaluator_gives_the_same_numbers(tmp_path, monkeypatch):
    pytest.importorskip(
        "cityscapesscripts", reason="needs `pip install cityscapesscripts`"
    )
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
    from cityscapesscripts.helpers.labels import trainId2label

    ids = np.array([trainId2label[i].id for i in range(19)] + [0] * 237, "uint8")
    pairs = [blobs(seed, classes=19, ignored=0.05) for seed in range(3)]
    paths = []
    for number, (label, prediction) in enumerate(pairs):
        paths.append([tmp_path / f"{kind}{number}.png" for kind in "pl"])
        for path, ids_of in zip(paths[-1], (prediction, label), strict=True):
            Image.fromarray(ids[ids_of]).save(path)
    official.args.evalInstLevelScore = False
    official.args.quiet = True
    official.args.JSONOutput = False
    predictions, labels = zip(*paths, strict=True)
    monkeypatch.setattr("builtins.print", lambda *_, **__: None)
    expected = official.evaluateImgLists(
        list(map(str, predictions)), list(map(str, labels)), official.args
    )
    monkeypatch.undo()
    images = np.zeros((3, 40, 60, 3), "uint8")
    result = evaluate(
        Answers(*(one_hot(prediction, 19) for _, prediction in pairs)),
        zip(images, (label for label, _ in pairs), strict=True),
        verbose=0,
    )
    assert result.mean_iou == pytest.approx(expected["averageScoreClasses"], abs=1e-12)
    for class_id, iou in enumerate(result.per_class):
        name = trainId2label[class_id].name
        np.testing.assert_allclose(iou, expected["classScores"][name], atol=1e-12)


@pytest.mark.once
@pytest.mark.parametrize("distance", [1, 2, 5, 8, 19, 25])
def test_boundary_is_what_erosion_leaves(distance):
    label, _ = blobs(1)
    eroded = np.zeros(label.shape, bool)
    for class_id in range(4):
        mask = label == class_id
        square = np.ones((3, 3))
        eroded |= ndimage.binary_erosion(mask, square, iterations=distance)
    np.testing.assert_array_equal(near_boundary(label, distance), ~eroded)


def test_boundary_iou_of_each_class():
    pairs = [blobs(seed, ignored=0.01) for seed in range(2)]
    images = np.zeros((2, 40, 60, 3), "uint8")
    result = evaluate(
        Answers(*(one_hot(prediction, 4) for _, prediction in pairs)),
        zip(images, (label for label, _ in pairs), strict=True),
        boundary_ratio=0.05,
        verbose=0,
    )
    assert boundary_distance((40, 60), 0.05) == 4
    inter, union = np.zeros(4), np.zeros(4)
    for label, prediction in pairs:
        counted = label != 255
        prediction = np.where(counted, prediction, 255)
        for class_id in range(4):
            edges = [
                (x == class_id)
                & ~ndimage.binary_erosion(x == class_id, np.ones((3, 3)), iterations=4)
                for x in (label, prediction)
            ]
            inter[class_id] += (edges[0] & edges[1] & counted).sum()
            union[class_id] += ((edges[0] | edges[1]) & counted).sum()
    np.testing.assert_allclose(result.boundary_per_class, inter / union)
    assert result.boundary_iou == pytest.approx((inter / union).mean())
    assert result.boundary_iou < result.mean_iou


@pytest.mark.once
def test_counts_are_int64_and_add_up():
    label, prediction = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    matrix = count_confusion(label, prediction, 3)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    np.testing.assert_allclose(intersection_over_union(matrix), [1, 0.5, 0.5])
    # uint8 predictions of many classes must not wrap around.
    many = count_confusion(np.full(5, 199), np.full(5, 199, "uint8"), 200)
    assert many[199, 199] == 5


def test_scores_are_taken_at_the_labels_own_size():
    """A label of twice the size: probabilities are enlarged, not labels."""
    logits = np.zeros((2, 2, 2), "float32")
    logits[:, 1, 1] = 3.0  # class 1 on the right, more surely than 0 on the left
    label = np.repeat([[0, 0, 1, 1]], 4, axis=0)
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum(-1, keepdims=True)
    columns = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]) @ shares
    expected = (columns.argmax(-1) == label[0]).mean()
    image = np.zeros((2, 2, 3), "uint8")
    result = evaluate(Answers(logits), [(image, label)], verbose=0)
    assert result.pixel_accuracy == pytest.approx(expected)
    assert result.confusion_matrix.sum() == 16


def test_examples_and_batches_give_the_same():
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 16, 3), "uint8")
    labels = np.random.default_rng(1).integers(0, 4, (4, 12, 16)).astype("uint8")
    one = evaluate(Toy(), zip(images, labels, strict=True), verbose=0)
    batches = [(images[:3], labels[:3, ..., None]), (images[3:], labels[3:])]
    many = evaluate(Toy(), batches, verbose=0)
    np.testing.assert_array_equal(one.confusion_matrix, many.confusion_matrix)
    assert many.protocol["images"] == 4
    tensors = keras.ops.convert_to_tensor
    both = evaluate(Toy(), [(tensors(images), tensors(labels))], verbose=0)
    np.testing.assert_array_equal(one.confusion_matrix, both.confusion_matrix)


def test_the_protocol_stands_beside_the_number(capsys):
    model = tiny_danet()
    model.class_names = ["sky", "road", "car", "tree", "person"]
    image = np.zeros((20, 30, 3), "uint8")
    label = np.zeros((20, 30), "uint8")
    label[:, :10] = 255
    result = evaluate(
        model, [(image, label)], scales=(0.5, 1.0), flip=True, window=16, stride=12
    )
    printed = capsys.readouterr().out
    assert str(result) in printed
    for line in (
        f"mIoU {result.mean_iou:.4f}",
        "protocol: mmseg",
        "size: whole images, scored at the labels' size",
        "scales: 0.5, 1",
        "flip: True",
        "window: (16, 16), stride (12, 12)",
        "output stride: unknown",
        "pixels counted: 400",
        "pixels ignored: 200 (label 255)",
        "absent classes: excluded",
        "person",
    ):
        assert line in printed
    assert result.class_names == model.class_names


def test_output_stride_is_read_off_the_backbone():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, 4, padding="same")(image)
    backbone = keras.Model(image, {"P2": x, "P5": keras.layers.MaxPool2D(4)(x)})
    backbone.name = "backbone"
    outer = keras.Input((None, None, 3))
    features = backbone(outer)["P5"]
    logits = keras.layers.UpSampling2D(16)(features)
    result = evaluate(
        keras.Model(outer, logits),
        [(np.zeros((32, 16, 3), "uint8"), np.zeros((32, 16), "uint8"))],
        verbose=0,
    )
    assert result.protocol["output stride"] == 16


def test_an_endless_training_stream_is_refused():
    tf = pytest.importorskip("tensorflow")
    image, label = np.zeros((4, 4, 3), "uint8"), np.zeros((4, 4), "uint8")
    data = tf.data.Dataset.from_tensors((image, label))
    assert evaluate(Toy(), data, verbose=0).protocol["images"] == 1
    with pytest.raises(ValueError, match="never ends.*training crops"):
        evaluate(Toy(), data.repeat(), verbose=0)


@pytest.mark.parametrize(
    "data, message",
    [
        ([], "empty"),
        ([np.zeros((4, 4, 3), "uint8")], "pairs"),
        ([(np.zeros((4, 4, 3), "uint8"), np.full((4, 4), 7))], "label map 0"),
        ([(np.zeros((4, 8, 3), "uint8"), np.zeros((8, 4)))], "image's shape"),
        ([(np.zeros((4, 4, 3), "uint8"), np.full((4, 4), 0.5))], "class id per pixel"),
        ([("no-such.jpg", np.zeros((4, 4)))], "no-such.jpg"),
    ],
)
def test_data_that_cannot_be_scored(data, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Toy(), data, verbose=0)


def test_wrong_number_of_class_names():
    data = [(np.zeros((4, 4, 3), "uint8"), np.zeros((4, 4)))]
    with pytest.raises(ValueError, match="each of the 4 classes"):
        evaluate(Toy(), data, class_names=["a"], verbose=0)
