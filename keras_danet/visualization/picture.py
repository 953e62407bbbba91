"""A picture as an array, written text in it, and its way to a file."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_danet.images import as_image

PAPER = (255, 255, 255)
INK = (20, 20, 20)


def as_picture(image):
    """An image of any kind (see `as_image`) as uint8 (H, W, 3), rounded and clipped."""
    image = as_image(image)
    if image.dtype == np.uint8:
        return image
    return np.clip(np.rint(image), 0, 255).astype("uint8")


def save(picture, path):
    """Writes uint8 (H, W, 3) to `path`; the file is whole or not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        Image.fromarray(picture).save(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def font(size):
    return ImageFont.load_default(size)


def text_width(text, size):
    return int(np.ceil(font(size).getlength(text)))


def write(canvas, text, left, middle, size, color=INK):
    """Writes `text` on a uint8 canvas in place, vertically centered at `middle`."""
    picture = Image.fromarray(canvas)
    ImageDraw.Draw(picture).text(
        (left, middle), text, fill=color, font=font(size), anchor="lm"
    )
    canvas[:] = np.asarray(picture)


def fill(canvas, left, top, width, height, color):
    canvas[max(top, 0) : top + height, max(left, 0) : left + width] = color


def stack(pictures, axis, gap=0):
    """Pictures in a row (axis 1) or a column (axis 0), padded with paper to fit."""
    other = 1 - axis
    length = max(picture.shape[other] for picture in pictures)
    padded = []
    for index, picture in enumerate(pictures):
        margin = [(0, 0)] * 3
        margin[other] = (0, length - picture.shape[other])
        margin[axis] = (gap if index else 0, 0)
        padded.append(np.pad(picture, margin, constant_values=255))
    return np.concatenate(padded, axis)
