"""Scores over whole images at the labels' own size, beside the protocol they need."""

from typing import NamedTuple

import keras
import numpy as np

from keras_danet.evaluation.boundary import boundary_distance, near_boundary
from keras_danet.evaluation.confusion import (
    count_confusion,
    intersection_over_union,
    mean_over_classes,
)
from keras_danet.evaluation.examples import count_examples, each_example
from keras_danet.inference.segmentation import check_range, labels_of, probabilities_of
from keras_danet.inference.setting import Setting
from keras_danet.label_check import check_label

# How the sources of the protocols count a class that occurs nowhere.
ABSENT = {"mmseg": "excluded", "official": "zero"}


class Evaluation(NamedTuple):
    """What `evaluate` measured; `print` shows it with the protocol.

    Attributes:
        mean_iou: float, mean intersection over union.
        per_class: (K,) IoU of each class, NaN where it occurs nowhere.
        pixel_accuracy: float, share of the labeled pixels that are right.
        boundary_iou: float, mean IoU of the pixels along contours alone.
        boundary_per_class: (K,).
        confusion_matrix: int64 (K, K), rows are labels, columns predictions.
        class_names: list of K strings.
        protocol: dict of everything the numbers depend on.
    """

    mean_iou: float
    per_class: np.ndarray
    pixel_accuracy: float
    boundary_iou: float
    boundary_per_class: np.ndarray
    confusion_matrix: np.ndarray
    class_names: list
    protocol: dict

    def __str__(self):
        width = max(map(len, self.class_names))
        rows = zip(
            self.class_names, self.per_class, self.boundary_per_class, strict=True
        )
        lines = [
            f"mIoU {self.mean_iou:.4f}  pixel accuracy {self.pixel_accuracy:.4f}  "
            f"boundary IoU {self.boundary_iou:.4f}"
        ]
        lines += [f"  {name}: {value}" for name, value in self.protocol.items()]
        lines += [f"  {'class':{width}}     IoU  boundary IoU"]
        lines += [f"  {name:{width}}  {a:6.4f}  {b:12.4f}" for name, a, b in rows]
        return "\n".join(lines)


def evaluate(
    model,
    dataset,
    *,
    scales=(1.0,),
    flip=False,
    window=None,
    stride=None,
    base_size=None,
    protocol="mmseg",
    ignore_class=255,
    boundary_ratio=0.02,
    class_names=None,
    batch_size=1,
    verbose=1,
):
    """Mean IoU over a data set: whole images, at the labels' own resolution.

    Use it for every number you report. Scores of crops during training are something
    else and are not to be had here: an endless training stream is refused.

    Each image is segmented as `segment` would, its probabilities are resized to the
    label's size, and their argmax is compared there. IoU is
    `right / (labeled + predicted - right)` of pixels over the whole data set; the
    boundary IoU is the same of only those pixels that lie within a share of the
    image's diagonal from their class's contour, in the label and in the prediction
    each. Contours at ignored pixels and at the image's edge count on both sides.

    With the protocol "official" a class that occurs nowhere counts as 0 in the means,
    as in the DANet repository; with "mmseg" it is left out.

    Args:
        model: as in `segment`.
        dataset: `tf.data.Dataset` or any iterable of (image (H, W, 3), label (H, W)),
            or of batches of them; a label may be larger or smaller than its image.
        scales, flip, window, stride, base_size, protocol, batch_size: as in `segment`.
        ignore_class: int or None, the label of pixels that do not count.
        boundary_ratio: float, share of the diagonal for the boundary IoU.
        class_names: list of K strings; None for the model's.
        verbose: 1 for a progress bar and the result in print, 0 for neither.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: labels that are no classes of the model, an image and label of
            different shapes, an empty or endless data set, or as in `segment`.

    Example:

    >>> test = keras_danet.data.scenes(20, seed=1)
    >>> keras_danet.evaluate(model, test).mean_iou

    Reference: the metric of `cityscapesscripts`; Cheng et al., "Boundary IoU",
    CVPR 2021.
    """
    setting = Setting.checked(
        model, scales, flip, window, stride, base_size, protocol, batch_size
    )
    total = count_examples(dataset)
    progress = keras.utils.Progbar(total, verbose=verbose, unit_name="image")
    counts = None
    for image, label in each_example(dataset):
        check_range(model, image)
        probabilities = probabilities_of(model, image, label.shape, setting)
        if counts is None:
            num_classes = probabilities.shape[-1]
            names = _names(
                class_names or getattr(model, "class_names", None), num_classes
            )
            counts = _Counts(num_classes, ignore_class, boundary_ratio)
        counts.add(label, labels_of(probabilities))
        progress.update(counts.images, finalize=False)
    if counts is None:
        raise ValueError("The data set is empty. Received: 0 examples")
    progress.update(counts.images, finalize=True)
    result = counts.result(names, ABSENT[protocol], _describe(model, setting))
    if verbose:
        print(result)
    return result


class _Counts:
    """What is counted over the data set."""

    def __init__(self, num_classes, ignore_class, boundary_ratio):
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.boundary_ratio = boundary_ratio
        self.confusion = np.zeros((num_classes, num_classes), "int64")
        self.boundary = np.zeros((num_classes + 1, num_classes + 1), "int64")
        self.images = self.ignored = 0

    def add(self, label, prediction):
        classes = self.num_classes
        where = f"label map {self.images}"
        check_label(label[None], classes, self.ignore_class, where)
        self.images += 1
        counted = np.ones(label.shape, bool)
        if self.ignore_class is not None:
            counted = label != self.ignore_class
        self.ignored += int((~counted).sum())
        self.confusion += count_confusion(label[counted], prediction[counted], classes)
        # Off the boundary a pixel is of no class: the last row and column.
        distance = boundary_distance(label.shape, self.boundary_ratio)
        seen = np.where(counted, prediction, label)
        edges = [
            np.where(near_boundary(x, distance), x, classes)[counted]
            for x in (label, seen)
        ]
        self.boundary += count_confusion(*edges, classes + 1)

    def result(self, class_names, absent, description):
        iou = intersection_over_union(self.confusion)
        boundary_iou = intersection_over_union(self.boundary)[:-1]
        pixels = int(self.confusion.sum())
        missing = [n for n, x in zip(class_names, iou, strict=True) if np.isnan(x)]
        return Evaluation(
            mean_over_classes(iou, absent),
            iou,
            float(np.trace(self.confusion) / pixels) if pixels else float("nan"),
            mean_over_classes(boundary_iou, absent),
            boundary_iou,
            self.confusion,
            class_names,
            {
                **description,
                "images": self.images,
                "pixels counted": pixels,
                "pixels ignored": f"{self.ignored} (label {self.ignore_class})",
                "absent classes": f"{absent} ({', '.join(missing) or 'none'})",
                "boundary": f"{self.boundary_ratio:g} of the diagonal",
            },
        )


def _names(class_names, num_classes):
    """One name for each class."""
    names = list(class_names or (f"class {i}" for i in range(num_classes)))
    if len(names) != num_classes:
        raise ValueError(
            f"`class_names` must name each of the {num_classes} classes. "
            f"Received: {len(names)} names"
        )
    return names


def _describe(model, setting):
    window, stride = setting.window, setting.stride
    if window is not None:
        window, stride = setting.window_on(window)
    base = setting.base_size
    return {
        "protocol": setting.protocol,
        "size": "whole images, scored at the labels' size",
        "scales": ", ".join(f"{scale:g}" for scale in setting.scales),
        "base size": "the image's own" if base is None else base,
        "flip": setting.flip,
        "window": "none" if window is None else f"{window}, stride {stride}",
        "output stride": _output_stride(model) or "unknown",
    }


def _output_stride(model):
    """Image size over the size of the backbone's last stage, or None."""
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    if "backbone" not in layers:
        return None
    length = 256
    shapes = layers["backbone"].compute_output_shape((1, length, length, 3))
    return length // shapes["P5"][1] if "P5" in shapes else None
