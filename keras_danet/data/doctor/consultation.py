"""The doctor's consultation: gather, judge, report."""

from pathlib import Path

import numpy as np

from keras_danet.data.doctor.diagnosis import diagnose
from keras_danet.data.doctor.evidence import Evidence, of_dataset, of_files
from keras_danet.data.doctor.report import Report
from keras_danet.data.folders import match
from keras_danet.data.frequencies import (
    IGNORED,
    PixelCount,
    check_ends,
    check_single,
)
from keras_danet.data.labels import check_label_map, map_values


def check(dataset, num_classes, *, label_map=None, class_names=None):
    """Examines a data set and says what is wrong, where, and what would mend it.

    Finds missing pairs, unreadable files, size mismatches, RGB, palette and 0/255
    masks, Cityscapes labelIds instead of trainIds, ids out of range or shifted by one,
    classes without pixels and labels without classes. Every file is read once.

    Args:
        dataset: `(images, labels)`, two folders or two lists of files as for
            `from_folder`; or a `tf.data.Dataset` of `(image, label)` that ends.
        num_classes: Number of classes K; 255 is ignored.
        label_map: As for `from_folder`; to check that a mapping mends the labels.
        class_names: List of K names for the report, e.g. `class_names("camvid")`.

    Returns:
        A `Report`: `print(report)`, `report.ok`, `.findings`, `.label_map` (proposed),
        `.class_weights`, `.contact_sheet("sheet.png")`.

    Raises:
        ValueError: A folder does not exist, the arguments do not fit each other, or the
            data set never ends.

    Example:
        >>> report = keras_danet.data.check(("images", "labels"), num_classes=5)
        >>> print(report)
        >>> train = keras_danet.data.from_folder(
        ...     "images", "labels", label_map=report.label_map)
    """
    class_names = class_names or [f"class {i}" for i in range(num_classes)]
    if num_classes < 2 or len(class_names) != num_classes:
        raise ValueError(
            "`num_classes` must be at least 2, and `class_names` as many. "
            f"Received: num_classes={num_classes}, {len(class_names)} class names"
        )
    check_label_map(label_map)
    evidence = _gather(dataset, num_classes, label_map)
    findings, proposal = diagnose(evidence, num_classes)
    count = evidence.count if proposal is None else _mapped_count(evidence, proposal)
    return Report(
        evidence.name,
        num_classes,
        evidence.examples,
        findings,
        proposal,
        count.pixels,
        count.images,
        count.weights(),
        list(class_names),
        [s for s in (_mended(*s, proposal) for s in evidence.samples) if s],
    )


def _gather(dataset, num_classes, label_map):
    """The evidence of two folders, two lists of files or a `tf.data.Dataset`."""
    if isinstance(dataset, (tuple, list)) and len(dataset) == 2:
        images, labels = dataset
        if isinstance(images, (str, Path)):
            evidence = Evidence(f"{images}, {labels}", num_classes, label_map)
            images, labels, evidence.lonely = match(Path(images), Path(labels))
        elif len(images) == len(labels):
            evidence = Evidence(f"{len(images)} files", num_classes, label_map)
        else:
            raise ValueError(
                "The lists of images and labels must be equally long. "
                f"Received: {len(images)} images, {len(labels)} labels."
            )
        of_files(images, labels, evidence)
        return evidence
    if not hasattr(dataset, "element_spec") or label_map is not None:
        raise ValueError(
            "`dataset` must be (images, labels) or a tf.data.Dataset; `label_map` goes "
            "with the first. "
            f"Received: {type(dataset).__name__}, label_map={label_map}"
        )
    check_single(dataset)
    check_ends(dataset)
    evidence = Evidence("tf.data.Dataset", num_classes)
    of_dataset(dataset, evidence)
    return evidence


def _mapped_count(evidence, mapping):
    """`PixelCount` of the labels as they will be once `mapping` is passed."""
    count = PixelCount(len(evidence.count.pixels))
    for census in evidence.censuses:
        pixels = np.zeros_like(count.pixels)
        for value, number in census.items():
            target = mapping.get(value, IGNORED)
            if target < len(pixels):
                pixels[target] += number
        count.add_counts(pixels)
    return count


def _mended(image, values, mapping):
    """A sample as it looks once the proposed mapping is passed; `None` if unknown."""
    if mapping is not None:
        try:
            return image, map_values(values, mapping, "sample")
        except ValueError:
            return None
    return None if values.ndim == 3 else (image, np.clip(values, 0, 255))
