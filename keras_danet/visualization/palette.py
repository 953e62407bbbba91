"""The color of each class: its data set's own, or one of a generated palette."""

import functools

import numpy as np

from keras_danet.data.classes import CLASSES, class_colors, class_names
from keras_danet.images import as_label

IGNORED = 255
_VOID = (0, 0, 0)


def palette(classes=None):
    """Colors of classes, one row per class id.

    Names that one of the data sets' tables lists (`keras_danet.data.CLASSES`) get the
    colors of that table; anything else gets a generated palette in which each color is
    as far from all before it as the eye can tell (CIE L*a*b*), black and white left
    out, so that the first K colors do not depend on K.

    Args:
        classes: a model with `class_names` or `num_classes`, a list of class names, an
            int, an array (K, 3) of colors in [0, 255] (given back), or None for 255
            generated colors.

    Returns:
        uint8 (K, 3), RGB.

    Raises:
        ValueError: something else, or colors out of [0, 255].

    Example:

    >>> palette(["sky", "road", "car"])[1]  # as in the synthetic scenes
    array([128,  64, 128], dtype=uint8)
    """
    if classes is None:
        return _generated(IGNORED)
    if hasattr(classes, "output_shape"):
        names = getattr(classes, "class_names", None)
        classes = classes.output_shape[-1] if names is None else names
    if isinstance(classes, (int, np.integer)) and not isinstance(classes, bool):
        return _generated(int(classes))
    classes = list(classes)
    if classes and all(isinstance(name, str) for name in classes):
        return _of_names(tuple(classes))
    return _checked(np.asarray(classes))


def colorize(label, colors=None):
    """A label map as an RGB picture; ignored pixels (255) are black.

    Args:
        label: integer class ids of any shape, such as (H, W), with 255 for ignored
            pixels; a last axis of length 1 is dropped, (H, W, 1) -> (H, W).
        colors: as `classes` of `palette`: a model, names, colors (K, 3), ...

    Returns:
        uint8 (..., 3), RGB.

    Raises:
        ValueError: not class ids, or an id that has no color.

    Example:

    >>> colorize(np.array([[0, 255]]), ["sky", "road"])
    array([[[ 70, 130, 180],
            [  0,   0,   0]]], dtype=uint8)
    """
    label, colors = as_label(label), palette(colors)
    known = np.append(np.unique(label), IGNORED)
    bad = known[(known < 0) | ((known >= len(colors)) & (known != IGNORED))]
    if bad.size:
        raise ValueError(
            f"There are {len(colors)} colors, of classes 0 to {len(colors) - 1}, and "
            f"{IGNORED} is ignored. Pass the model, or a color per class, as `colors`. "
            f"Received: labels {bad[:10].tolist()}"
        )
    table = np.zeros((256, 3), "uint8")
    table[: len(colors)] = colors[:256]
    table[IGNORED] = _VOID
    return table[label]


def _of_names(names):
    """The colors of the first table that lists all names, one equal to them first."""
    tables = sorted(CLASSES, key=lambda table: tuple(class_names(table)) != names)
    for table in tables:
        colors = dict(zip(class_names(table), class_colors(table), strict=True))
        if set(names) <= colors.keys():
            return np.array([colors[name] for name in names], "uint8")
    return _generated(len(names))


def _checked(colors):
    shaped = colors.ndim == 2 and colors.shape[1] == 3
    if not shaped or colors.dtype.kind not in "iuf":
        raise ValueError(
            "Colors are a model, a list of class names, a number of classes or an "
            f"array (K, 3). Received: shape {colors.shape}, dtype {colors.dtype}"
        )
    if colors.min() < 0 or colors.max() > 255:
        raise ValueError(
            "Colors are RGB in [0, 255]. "
            f"Received: values from {colors.min()} to {colors.max()}"
        )
    return colors.astype("uint8")


@functools.lru_cache
def _farthest(count):
    """Greedy: the candidate farthest from black, white and all before it is next."""
    steps = np.linspace(0, 255, 14).round()
    grid = np.meshgrid(steps, steps, steps, indexing="ij")
    candidates = np.stack(grid, -1).reshape(-1, 3)
    places = _lab(candidates)
    taken = _lab(np.array([[0.0, 0, 0], [255, 255, 255]]))
    distance = np.linalg.norm(places[:, None] - taken, axis=-1).min(axis=1)
    chosen = []
    for _ in range(count):
        chosen.append(int(distance.argmax()))
        away = np.linalg.norm(places - places[chosen[-1]], axis=-1)
        distance = np.minimum(distance, away)
    return candidates[chosen].astype("uint8")


def _generated(count):
    if not 1 <= count <= IGNORED:
        raise ValueError(
            f"A palette has 1 to {IGNORED} colors; {IGNORED} is the ignored label. "
            f"Received: {count}"
        )
    return _farthest(count).copy()


def _lab(colors):
    """sRGB (N, 3) in [0, 255] to CIE L*a*b* under D65."""
    rgb = colors / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y = (0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722)
    z = (0.0193, 0.1192, 0.9505)
    xyz = linear @ np.array([x, y, z]).T / (0.9505, 1.0, 1.089)
    small = xyz <= (6 / 29) ** 3
    f = np.where(small, xyz / (3 * (6 / 29) ** 2) + 4 / 29, np.cbrt(xyz))
    lightness = 116 * f[:, 1] - 16
    return np.stack(
        [lightness, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1
    )
