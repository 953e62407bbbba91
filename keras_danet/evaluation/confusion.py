"""Counts of labels against predictions in int64, and what they tell."""

import numpy as np


def count_confusion(label, prediction, num_classes):
    """How often each class was predicted as each: int64 (K, K), rows are labels.

    Args:
        label: class ids 0..K-1, any shape.
        prediction: class ids 0..K-1, of the same shape.
        num_classes: int K.

    Example:

    >>> count_confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    cells = label.astype("int64").ravel() * num_classes + prediction.ravel()
    counts = np.bincount(cells, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes).astype("int64")


def intersection_over_union(confusion):
    """IoU of each class, (K,); NaN where a class is in no label and no prediction."""
    intersection = np.diagonal(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - intersection
    return np.where(union > 0, intersection / np.maximum(union, 1), np.nan)


def mean_over_classes(iou, absent):
    """The mean of IoUs whose absent classes are NaN.

    Args:
        iou: (K,).
        absent: "excluded" leaves absent classes out of the mean, "zero" counts them
            as 0.

    Returns:
        float; NaN when no class was seen.
    """
    seen = ~np.isnan(iou)
    if not seen.any():
        return float("nan")
    return float(iou[seen].sum() / (seen.sum() if absent == "excluded" else len(iou)))
