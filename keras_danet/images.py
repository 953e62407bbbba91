"""Images and label maps of every kind as arrays; every error names the file."""

import os

import numpy as np
from PIL import Image, ImageOps

# No others: some of Pillow's readers start programs (EPS runs Ghostscript). The
# several-frame JPEGs of phones (MPO) are read as JPEG.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"),
    *(".gif", ".pgm", ".ppm"),
)


def as_image(source):
    """A path, picture, array or tensor as an RGB array (H, W, 3) in [0, 255].

    - Files and PIL images are turned upright by their EXIF orientation. Gray, palette
      and CMYK ones become RGB, alpha is dropped, 16 bits a channel become [0, 255] in
      float32, and of several frames the first is taken. 32-bit and floating point
      files are refused, for nothing says which values are black and white.
    - Arrays are (H, W, 3), (H, W, 4) with alpha to drop, or gray (H, W) or (H, W, 1).
      Integers must lie in [0, 255]; floats are taken as they are, for a model of one's
      own may expect another range, but must be finite.

    A file of more pixels than `PIL.Image.MAX_IMAGE_PIXELS` is refused before it is
    decoded; raise that number for a picture you trust.

    Args:
        source: str, path, `PIL.Image.Image`, NumPy array or tensor.

    Returns:
        uint8, float32 or float64 (H, W, 3).

    Raises:
        ValueError: it is none of these, cannot be read or holds NaN; files are named.

    Example:

    >>> as_image("street.jpg").shape
    (1024, 2048, 3)
    """
    if isinstance(source, (str, os.PathLike)):
        return _from_file(os.fspath(source))
    if isinstance(source, Image.Image):
        try:
            return _from_picture(source)
        except _Unusable as error:
            raise ValueError(f"The PIL image cannot be used: {error}") from error
    return _from_array(source)


def as_label(label):
    """A label map as integers (H, W).

    Args:
        label: array or tensor of class ids, integers or whole floats; a last axis of
            length 1 is dropped.

    Returns:
        int64 array.

    Raises:
        ValueError: anything that is no class id per pixel, such as logits.

    Example:

    >>> as_label(np.zeros((4, 6, 1), "float32")).shape
    (4, 6)
    """
    label = as_numpy(label)
    if label.dtype.kind not in "iuf":
        kind = "not numbers"
    elif label.dtype.kind == "f" and not (label == np.floor(label)).all():
        kind = "fractions; take `argmax(axis=-1)` of logits or probabilities first"
    else:
        label = label.astype("int64")
        return label[..., 0] if label.ndim > 2 and label.shape[-1] == 1 else label
    raise ValueError(
        f"A label map holds a class id per pixel, but these are {kind}. "
        f"Received: shape {label.shape}, dtype {label.dtype}"
    )


def as_numpy(value):
    """An array, or a tensor of whichever library, on the host."""
    if hasattr(value, "detach"):  # PyTorch, maybe on an accelerator
        value = value.detach().cpu()
    return np.asarray(value)


class _Unusable(Exception):
    """What is wrong with a picture, without its name."""


def _from_file(path):
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return _from_picture(picture)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}.") from error
    except (_Unusable, Image.DecompressionBombError) as error:
        raise ValueError(f"Image {path} cannot be used: {error}") from error
    except Exception as error:
        # Pillow's decoders raise whatever a damaged file makes them stumble over.
        raise ValueError(
            f"Image {path} cannot be read: empty, truncated, damaged or none of "
            f"{', '.join(FORMATS)}. Download or export it again. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def _from_picture(picture):
    limit = Image.MAX_IMAGE_PIXELS
    width, height = picture.size
    if limit is not None and width * height > limit:
        raise _Unusable(
            f"it has {width}x{height} pixels, more than the {limit} that are decoded "
            "without a doubt (a small file may unpack to fill the memory). If you "
            "trust it, raise `PIL.Image.MAX_IMAGE_PIXELS`."
        )
    if width * height == 0:
        raise _Unusable("it has no pixels.")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype("float32") / 257  # 65535 is white
        return np.repeat(values[..., None], 3, axis=-1)
    if picture.mode in ("I", "F", "LAB"):
        raise _Unusable(
            f"its pixels are of Pillow's mode {picture.mode!r} (32 bits, floating "
            "point or L*a*b*). Scale them to RGB in [0, 255] and save as 8 bits."
        )
    return np.array(picture.convert("RGB"))


def _from_array(source):
    image = as_numpy(source)
    if image.dtype.kind == "O":
        raise ValueError(
            "An image is a path, a PIL image, or an array or tensor (H, W, 3). "
            f"Received: {type(source).__name__}"
        )
    shape = image.shape
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or image.size == 0:
        raise ValueError(
            "An image is (H, W, 3) RGB, (H, W, 4) with alpha, or gray (H, W). "
            f"{_advice(shape)}Received: shape {shape}"
        )
    image = image[..., :3] if image.shape[-1] > 1 else np.repeat(image, 3, axis=-1)
    if image.dtype.kind in "iu":
        return _eight_bits(image)
    if image.dtype.name == "bfloat16":  # to NumPy a foreign type
        image = image.astype("float32")
    if image.dtype.kind != "f":
        raise ValueError(
            "An image holds integers or floats in [0, 255]. "
            f"Received: dtype {image.dtype}"
        )
    if not np.isfinite(image).all():
        bad = int((~np.isfinite(image)).sum())
        raise ValueError(
            "The image holds NaN or infinity; there is nothing to see in such pixels. "
            f"Received: {bad} of {image.size} values not finite"
        )
    return image if image.dtype == "float64" else image.astype("float32")


def _eight_bits(image):
    low, high = image.min(), image.max()
    if low < 0 or high > 255:
        raise ValueError(
            "The values of an image lie in [0, 255]; divide 16-bit values by 257. "
            f"Received: {image.dtype} from {low} to {high}"
        )
    return image.astype("uint8")


def _advice(shape):
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "Bring the channels to the end by `np.moveaxis(image, 0, -1)`. "
    return ""
