"""The legend: a swatch and a name for each class that occurs."""

import numpy as np

from keras_danet.visualization import picture
from keras_danet.visualization.palette import IGNORED


def legend(entries, width):
    """Swatches with names, in as many lines as `width` asks for.

    Args:
        entries: list of (name, color), at least one.
        width: pixels to fill; more where a single entry needs more.

    Returns:
        uint8 (h, w, 3) on white.
    """
    size = int(np.clip(width // 40, 12, 28))
    gap, swatch = size // 2, size
    widths = [
        swatch + gap // 2 + picture.text_width(name, size) + 2 * gap
        for name, _ in entries
    ]
    lines, room = [[]], width - gap
    for (name, color), wide in zip(entries, widths, strict=True):
        if lines[-1] and wide > room:
            lines.append([])
            room = width - gap
        lines[-1].append((name, color, width - room))
        room -= wide
    line_height = size + gap
    canvas = np.full(
        (len(lines) * line_height + gap, max(width, max(widths) + gap), 3), 255, "uint8"
    )
    for row, line in enumerate(lines):
        top = row * line_height + gap
        for name, color, left in line:
            # A gray edge, for colors near the paper's white.
            picture.fill(canvas, left - 1, top - 1, swatch + 2, swatch + 2, 128)
            picture.fill(canvas, left, top, swatch, swatch, color)
            beside = left + swatch + gap // 2
            picture.write(canvas, name, beside, top + swatch // 2, size)
    return canvas


def entries_of(labels, class_names, colors):
    """(name, color) of each class in the label maps, in class order, ignored last."""
    found = sorted(set().union(*(np.unique(label).tolist() for label in labels)))
    named = [
        (class_names[i] if class_names else f"class {i}", colors[i])
        for i in found
        if i != IGNORED
    ]
    return named + ([("ignored", (0, 0, 0))] if IGNORED in found else [])


def names_of(classes):
    """The class names that a `colors` argument carries, or None."""
    if hasattr(classes, "output_shape"):
        return getattr(classes, "class_names", None)
    named = isinstance(classes, (list, tuple)) and len(classes) > 0
    return list(classes) if named and isinstance(classes[0], str) else None
