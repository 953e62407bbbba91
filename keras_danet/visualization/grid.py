"""The field's figure: image, label, prediction and error side by side."""

import numpy as np

from keras_danet.visualization import picture
from keras_danet.visualization.legend import entries_of, legend, names_of
from keras_danet.visualization.overlay import as_pair
from keras_danet.visualization.palette import IGNORED, colorize, palette

WRONG = (230, 30, 40)


def grid(images, labels=None, predictions=None, colors=None, *, path=None):
    """Rows of examples: image, label, prediction, and where the two differ.

    Args:
        images: list of (H, W, 3) RGB in [0, 255], paths or PIL images, of any sizes;
            or (B, H, W, 3).
        labels: as many (H, W) class ids, or None.
        predictions: as many (H, W) class ids, or None.
        colors: as `classes` of `palette`; a model or class names also name the legend.
        path: where to save the picture as well, or None.

    Returns:
        uint8 (h, w, 3): a titled column for each of what is given, and, where labels
        and predictions are, the error: wrong pixels red on the gray image, ignored ones
        black. A legend stands below.

    Raises:
        ValueError: numbers or sizes differ, or neither labels nor predictions given.

    Example:

    >>> grid(images, labels, predictions, model, path="examples.png")
    """
    columns = {"label": labels, "prediction": predictions}
    columns = {name: list(maps) for name, maps in columns.items() if maps is not None}
    images = list(images)
    if not columns or not images:
        raise ValueError(
            "A grid needs images and their labels, predictions or both. "
            f"Received: {len(images)} images, {', '.join(columns) or 'no label maps'}"
        )
    for name, maps in columns.items():
        if len(maps) != len(images):
            raise ValueError(
                f"Each image needs its {name}. "
                f"Received: {len(images)} images, {len(maps)} {name}s"
            )
    # Sizes are checked with each image, and the maps are arrays from here on.
    columns = {
        name: [as_pair(*pair)[1] for pair in zip(images, maps, strict=True)]
        for name, maps in columns.items()
    }
    images = [picture.as_picture(image) for image in images]
    rows = [
        _row(image, [maps[i] for maps in columns.values()], colors)
        for i, image in enumerate(images)
    ]
    titles = ["image", *columns, *(["error (red)"] if len(columns) == 2 else [])]
    figure = _with_titles(rows, titles)
    maps = [label for maps in columns.values() for label in maps]
    entries = entries_of(maps, names_of(colors), palette(colors))
    figure = picture.stack([figure, legend(entries, figure.shape[1])], axis=0)
    if path is not None:
        picture.save(figure, path)
    return figure


def error_picture(image, label, prediction):
    """Wrong pixels red on the gray image, ignored ones black: uint8 (H, W, 3)."""
    gray = image.mean(axis=-1, keepdims=True) * 0.6 + 60
    shown = np.repeat(gray.astype("uint8"), 3, axis=-1)
    shown[label != prediction] = WRONG
    shown[label == IGNORED] = 0
    return shown


def _row(image, maps, colors):
    cells = [image, *(colorize(label, colors) for label in maps)]
    if len(maps) == 2:
        cells.append(error_picture(image, *maps))
    return cells


def _with_titles(rows, titles):
    """Cells in columns as wide as the widest of all, titles above."""
    width = max(cell.shape[1] for row in rows for cell in row)
    gap = max(2, width // 60)
    size = int(np.clip(width // 12, 10, 24))
    width = max(width, max(picture.text_width(title, size) for title in titles))
    header = np.full((2 * size, (width + gap) * len(titles) - gap, 3), 255, "uint8")
    for column, title in enumerate(titles):
        picture.write(header, title, column * (width + gap), size, size)
    lines = [
        picture.stack([_widened(cell, width) for cell in row], axis=1, gap=gap)
        for row in rows
    ]
    return picture.stack([header, picture.stack(lines, axis=0, gap=gap)], axis=0)


def _widened(cell, width):
    margin = ((0, 0), (0, width - cell.shape[1]), (0, 0))
    return np.pad(cell, margin, constant_values=255)
