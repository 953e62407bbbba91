"""Label files to class ids; every error names the file."""

import numpy as np

from keras_danet.data.files import decode_fast, opened

IGNORED = 255
MOST = 65535  # the largest value of a label file

# Pillow stretches the values of 2 and 4 bit gray PNGs to 0..255; ids must not be.
_STRETCH = {"L;2": 85, "L;4": 17}


def read_label(path, label_map=None):
    """The class ids at `path` as uint8 (H, W).

    A palette picture gives its indices, never its colors. A color mask needs
    `label_map`.

    Args:
        path: A lossless picture of one channel or, with `label_map`, of three.
        label_map: What the file holds -> class id 0..255, 255 for "ignored". Keys are
            ints or (red, green, blue). Every value of the file must be listed, except
            255, which is ignored unless listed. `None`: the values are the ids.

    Raises:
        ValueError: The file is missing, truncated, lossy, a color mask without a map
            of colors, or holds a value that is not listed; the message names it.
    """
    return map_values(read_values(path), label_map, path)


def read_values(path):
    """What the label file at `path` holds: integers (H, W) or colors (H, W, 3).

    Raises:
        ValueError: As `read_label`, but for the values themselves.
    """
    values = decode_fast(path, 1)
    if values is not None:
        return values[..., 0]
    with opened(path) as picture:
        if picture.format == "JPEG":
            raise ValueError(
                f"Label {path} is a JPEG, whose compression changes class ids. "
                "Save the labels as PNG from their source."
            )
        values = _label_values(picture)
    if values.dtype.kind == "f":
        return _whole(values, path)
    return values


def check_label_map(label_map):
    """Raises a ValueError for a mapping that `read_label` cannot apply."""
    for source, target in (label_map or {}).items():
        parts = np.ravel(source)
        whole = np.issubdtype(parts.dtype, np.integer) and parts.min() >= 0
        fits = whole and parts.max() <= (MOST if np.ndim(source) == 0 else 255)
        if not fits or len(parts) not in (1, 3) or target not in range(256):
            raise ValueError(
                f"`label_map` maps ints 0 to {MOST} or colors (red, green, blue) to "
                "class ids 0 to 254, or to 255 to ignore. "
                f"Received: {{{source!r}: {target!r}}}"
            )


def map_values(values, label_map, path):
    """Class ids uint8 (H, W) of what a label file holds; `path` is for errors."""
    if values.ndim == 3:
        return _from_colors(values, label_map, path)
    return _from_ids(values, label_map, path)


def _label_values(picture):
    """Integers (H, W), or colors (H, W, 3)."""
    if picture.mode in ("RGB", "RGBA", "CMYK", "YCbCr"):
        return np.asarray(picture.convert("RGB"))
    if picture.mode == "LA":
        picture = picture.getchannel("L")
    values = np.asarray(picture)
    if values.dtype == bool:
        return values.astype("uint8")
    stretch = _STRETCH.get(picture.info.get("rawmode"))
    return values // stretch if stretch else values


def _whole(values, path):
    """Floats that are class ids, as integers."""
    whole = values == np.floor(values)
    if not whole.all():
        raise ValueError(
            f"Label {path} holds fractions, so it is no map of class ids: it was "
            "resized with interpolation, perhaps. Export it again, resized by nearest "
            f"neighbor. Received: {_few(np.unique(values[~whole]).tolist())}."
        )
    return values.astype("int64")


def _from_ids(values, label_map, path):
    if label_map is None:
        if values.dtype == np.uint8:
            return values
        label_map = {i: i for i in range(256)}
    ids, listed = np.zeros(MOST + 1, "uint8"), np.zeros(MOST + 1, bool)
    ids[IGNORED], listed[IGNORED] = IGNORED, True
    for source, target in label_map.items():
        if np.ndim(source) == 0:
            ids[source], listed[source] = target, True
    index = values if values.dtype == np.uint8 else np.clip(values, 0, MOST)
    known = listed.take(index) & (index == values)
    if not known.all():
        raise ValueError(
            f"Label {path} holds values that stand for no class. List them in "
            "`label_map` (255 ignores). "
            f"Received: {_few(np.unique(values[~known]).tolist())}."
        )
    return ids.take(index)


def _from_colors(colors, label_map, path):
    pairs = {c: t for c, t in (label_map or {}).items() if np.ndim(c) == 1}
    if not pairs:
        found = np.unique(colors.reshape(-1, 3), axis=0)
        raise ValueError(
            f"Label {path} is a color mask (RGB); labels are one channel of class ids. "
            "Pass the color of every class, label_map={(128, 64, 128): 0, ...}, or "
            f"convert the masks. Received: colors {_few(map(tuple, found.tolist()))}."
        )
    codes = _codes(colors)
    known, position = np.unique(_codes(np.array(list(pairs))), return_index=True)
    targets = np.array(list(pairs.values()), "uint8")[position]
    index = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    unlisted = codes != known[index]
    if unlisted.any():
        found = np.unique(colors[unlisted], axis=0)
        raise ValueError(
            f"Label {path} holds colors that stand for no class. List them in "
            "`label_map` (255 ignores). "
            f"Received: {_few(map(tuple, found.tolist()))}."
        )
    return targets[index]


def _codes(colors):
    return colors.astype("int32") @ np.array([65536, 256, 1], "int32")


def _few(values, limit=8):
    values = list(values)
    text = ", ".join(map(str, values[:limit]))
    return text + (f", ... ({len(values)} in all)" if len(values) > limit else "")
