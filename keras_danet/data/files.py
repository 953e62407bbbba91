"""Picture files to arrays; every error names the file."""

import numpy as np
import tensorflow as tf
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read_image(path):
    """The picture at `path` as RGB uint8 (H, W, 3).

    Gray, palette and CMYK pictures are converted, an alpha channel is dropped and an
    EXIF rotation is not applied (labels are drawn on the stored pixels).

    Raises:
        ValueError: The file is missing, truncated, no picture, or has 16 bits a
            channel; the message names it.
    """
    image = decode_fast(path, 3)
    if image is not None:
        return image
    with opened(path) as picture:
        if picture.mode.startswith(("I", "F")):
            raise ValueError(
                f"Image {path} has more than 8 bits a channel. Images are 8-bit RGB: "
                "scale it to 0..255 and save it again. "
                f"Received: Pillow mode {picture.mode!r}."
            )
        return np.asarray(picture.convert("RGB"))


def read_pair(image_path, label_path, read_label):
    """An image and what `read_label` gives of its label; they must be of one size."""
    image = read_image(image_path)
    label = read_label(label_path)
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


def decode_fast(path, channels):
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


class opened:
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
