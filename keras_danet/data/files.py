"""Image and label files to arrays; every error names the file."""

import numpy as np
import tensorflow as tf
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
IGNORED = 255

# Pillow stretches the values of 2 and 4 bit gray PNGs to 0..255; ids must not be.
_STRETCH = {"L;2": 85, "L;4": 17}


def read_image(path):
    """The picture at `path` as RGB uint8 (H, W, 3).

    Gray, palette and CMYK pictures are converted, an alpha channel is dropped and an
    EXIF rotation is not applied (labels are drawn on the stored pixels).

    Raises:
        ValueError: The file is missing, truncated, no picture, or has 16 bits a
            channel; the message names it.
    """
    image = _decode_fast(path, 3)
    if image is not None:
        return image
    with _opened(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(
                f"Image {path} has more than 8 bits a channel. Images are 8-bit RGB: "
                "scale it to 0..255 and save it again. "
                f"Received: Pillow mode {picture.mode!r}."
            )
        return np.asarray(picture.convert("RGB"))


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
    values = _decode_fast(path, 1)
    if values is not None:
        return values[..., 0]
    with _opened(path) as picture:
        if picture.format == "JPEG":
            raise ValueError(
                f"Label {path} is a JPEG, whose compression changes class ids. "
                "Save the labels as PNG from their source."
            )
        return _label_values(picture)


def map_values(values, label_map, path):
    """Class ids uint8 (H, W) of what a label file holds; `path` is for errors."""
    if values.ndim == 3:
        return _from_colors(values, label_map, path)
    return _from_ids(values, label_map, path)


def read_pair(image_path, label_path, label_map=None):
    """`read_image` and `read_label` of one example, which must be of one size."""
    image = read_image(image_path)
    label = read_label(label_path, label_map)
    mismatch = size_mismatch(image, label, image_path, label_path)
    if mismatch:
        raise ValueError(mismatch)
    return image, label


def size_mismatch(image, label, image_path, label_path):
    """What to say about an image and a label of different sizes; `None` if equal."""
    if image.shape[:2] == label.shape[:2]:
        return None
    swapped = image.shape[1::-1] == label.shape[:2]
    return (
        f"Image {image_path} and label {label_path} differ in size. "
        + ("An EXIF rotation? Save the image upright. " if swapped else "")
        + "Every pixel needs a label; enlarge labels with nearest neighbor only. "
        f"Received: image {image.shape[0]}x{image.shape[1]}, "
        f"label {label.shape[0]}x{label.shape[1]} (height x width)."
    )


def _decode_fast(path, channels):
    """Common JPEG and PNG pictures by TensorFlow; `None` for all that Pillow must see.

    A 1024x2048 PNG takes two thirds of Pillow's time. TensorFlow's errors name no
    file, so that whatever it refuses goes to Pillow, which reads it or says why not.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
        if content.startswith(b"\xff\xd8") and channels == 3:
            accurate = "INTEGER_ACCURATE"  # as Pillow decodes
            return np.asarray(tf.io.decode_jpeg(content, 3, dct_method=accurate))
        # Bits a channel and color type; type 0 is gray. Of a palette and of fewer bits
        # TensorFlow gives colors, not ids.
        bits, color = content[24], content[25]
        plain = bits == 8 and (channels == 3 or color == 0)
        if content.startswith(b"\x89PNG") and plain:
            return np.asarray(tf.io.decode_png(content, channels))
    except (OSError, IndexError, tf.errors.InvalidArgumentError):
        pass
    return None


class _opened:
    """`Image.open` whose errors, also those of decoding, name the file."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        try:
            self.picture = Image.open(self.path)
            self.rawmode = _rawmode(self.picture)
            self.picture.load()
        except FileNotFoundError as error:
            raise ValueError(f"There is no file {self.path}.") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
            raise ValueError(
                f"{self.path} cannot be read: truncated, damaged or no picture. "
                f"Download or export it again. Received: {e}"
            ) from e
        self.picture.info["rawmode"] = self.rawmode
        return self.picture

    def __exit__(self, *_):
        self.picture.close()


def _rawmode(picture):
    """How the file packs its pixels; Pillow forgets it when it loads them."""
    arguments = picture.tile[0][3] if picture.tile else None
    return arguments if isinstance(arguments, str) else None


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


def _from_ids(values, label_map, path):
    if label_map is None:
        if values.dtype == np.uint8:
            return values
        label_map = {i: i for i in range(256)}
    table = np.full(65536, -1, "int32")
    table[IGNORED] = IGNORED
    for source, target in label_map.items():
        if np.ndim(source) == 0:
            table[source] = target
    values = np.clip(values, 0, 65535) if values.dtype != np.uint8 else values
    ids = table[values]
    if ids.min() < 0:
        unlisted = np.unique(values[ids < 0])
        raise ValueError(
            f"Label {path} holds values that stand for no class. List them in "
            f"`label_map` (255 ignores). Received: {_few(unlisted.tolist())}."
        )
    return ids.astype("uint8")


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
