"""A label map laid over its image."""

import numpy as np

from keras_danet.images import as_label
from keras_danet.visualization import picture
from keras_danet.visualization.legend import entries_of, legend, names_of
from keras_danet.visualization.palette import IGNORED, colorize, palette


def overlay(image, label, colors=None, *, opacity=0.55, show_legend=True, path=None):
    """The image with its label map's colors over it and a legend below.

    Ignored pixels (255) show the image alone.

    Args:
        image: (H, W, 3) RGB in [0, 255], a path or a PIL image.
        label: (H, W) class ids.
        colors: as `classes` of `palette`; a model or class names also name the legend.
        opacity: float in [0, 1] of the colors.
        show_legend: bool; the legend lists the classes that occur.
        path: where to save the picture as well, or None.

    Returns:
        uint8 (h, w, 3): the image's size, or higher (and wider where the image is
        narrower than a name) by the legend.

    Raises:
        ValueError: sizes differ, or `opacity` is out of [0, 1].

    Example:

    >>> result = keras_danet.segment(model, "street.jpg")
    >>> overlay(image, result.labels, model, path="overlay.png")

    Reference: none; the customary figure of the field.
    """
    image, label = as_pair(image, label)
    if not 0 <= opacity <= 1:
        raise ValueError(f"`opacity` must be in [0, 1]. Received: opacity={opacity!r}")
    mixed = blend(image, label, colors, opacity)
    if show_legend:
        shown = label[label != IGNORED]
        entries = entries_of([shown], names_of(colors), palette(colors))
        below = legend(entries, mixed.shape[1]) if entries else mixed[:0]
        mixed = picture.stack([mixed, below], axis=0)
    if path is not None:
        picture.save(mixed, path)
    return mixed


def blend(image, label, colors, opacity):
    """`opacity` of the label's colors over the image, ignored pixels untouched."""
    mixed = (1 - opacity) * image + opacity * colorize(label, colors)
    mixed = np.rint(mixed).astype("uint8")
    return np.where((label == IGNORED)[..., None], image, mixed)


def as_pair(image, label):
    """uint8 (H, W, 3) and integers (H, W) of one size."""
    image, label = picture.as_picture(image), as_label(label)
    if image.shape[:2] != label.shape:
        raise ValueError(
            "Image and label map differ in size; bring the label map to the image's "
            "size by nearest neighbor. "
            f"Received: image {image.shape}, label map {label.shape}"
        )
    return image, label
