"""Images that people really pass, good and bad, each with what must come of it."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ERROR, PICTURE = "error", "picture"


def photo(rng, height=None, width=None):
    """A smooth random picture, uint8 RGB."""
    height = height or int(rng.integers(2, 40))
    width = width or int(rng.integers(2, 40))
    corners = rng.uniform(0, 255, (2, 2, 3)).astype("uint8")
    return np.array(Image.fromarray(corners).resize((width, height), Image.BILINEAR))


def encoded(array, format, mode=None, **options):
    picture = Image.fromarray(array)
    data = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(data, format, **options)
    return data.getvalue()


def png_of_size(width, height):
    """A PNG of a few bytes that claims any size: a decompression bomb."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 4096)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# What is written to a file: name -> (suffix, what must come of it, function -> bytes).
FILES = {
    "jpeg": (".jpg", PICTURE, lambda rng: encoded(photo(rng), "JPEG")),
    "jpeg_cmyk": (".jpg", PICTURE, lambda rng: encoded(photo(rng), "JPEG", "CMYK")),
    "jpeg_gray": (".jpg", PICTURE, lambda rng: encoded(photo(rng), "JPEG", "L")),
    "png_rgba": (".png", PICTURE, lambda rng: encoded(photo(rng), "PNG", "RGBA")),
    "png_palette": (".png", PICTURE, lambda rng: encoded(photo(rng), "PNG", "P")),
    "png_bilevel": (".png", PICTURE, lambda rng: encoded(photo(rng), "PNG", "1")),
    "png_gray_alpha": (".png", PICTURE, lambda rng: encoded(photo(rng), "PNG", "LA")),
    "gif": (".gif", PICTURE, lambda rng: encoded(photo(rng), "GIF")),
    "webp": (".webp", PICTURE, lambda rng: encoded(photo(rng), "WEBP")),
    "bmp": (".bmp", PICTURE, lambda rng: encoded(photo(rng), "BMP")),
    "bmp_palette": (".bmp", PICTURE, lambda rng: encoded(photo(rng), "BMP", "P")),
    "png_named_jpg": (".jpg", PICTURE, lambda rng: encoded(photo(rng), "PNG")),
    "one_pixel": (".png", PICTURE, lambda rng: encoded(photo(rng, 1, 1), "PNG")),
    "one_row": (".png", PICTURE, lambda rng: encoded(photo(rng, 1, 5000), "PNG")),
    "one_column": (".png", PICTURE, lambda rng: encoded(photo(rng, 5000, 1), "PNG")),
    "png_16_bit": (
        ".png",
        PICTURE,
        lambda rng: encoded(photo(rng)[..., 0].astype("uint16") * 257, "PNG"),
    ),
    "exif_turned": (
        ".jpg",
        PICTURE,
        lambda rng: encoded(photo(rng), "JPEG", exif=orientation(rng.integers(1, 9))),
    ),
    "exif_nonsense": (
        ".jpg",
        PICTURE,
        lambda rng: encoded(photo(rng), "JPEG", exif=b"Exif\0\0" + rng.bytes(20)),
    ),
    "tiff_float": (
        ".tif",
        ERROR,
        lambda rng: encoded(rng.normal(size=(5, 6)).astype("float32"), "TIFF"),
    ),
    "tiff_32_bit": (
        ".tif",
        ERROR,
        lambda rng: encoded(np.full((4, 4), 70000, "int32"), "TIFF"),
    ),
    "zero_bytes": (".jpg", ERROR, lambda rng: b""),
    "text_named_jpg": (".jpg", ERROR, lambda rng: b"<html>404 not found</html>" * 3),
    "noise_named_png": (".png", ERROR, lambda rng: rng.bytes(500)),
    "header_only": (".png", ERROR, lambda rng: encoded(photo(rng), "PNG")[:30]),
    "truncated_png": (".png", ERROR, lambda rng: truncated(rng, "PNG")),
    "truncated_jpeg": (".jpg", ERROR, lambda rng: truncated(rng, "JPEG")),
    "truncated_bmp": (".bmp", ERROR, lambda rng: truncated(rng, "BMP")),
    "truncated_webp": (".webp", ERROR, lambda rng: truncated(rng, "WEBP")),
    "bomb": (".png", ERROR, lambda rng: png_of_size(rng.integers(20000, 90000), 60000)),
    "bomb_of_doubt": (".png", ERROR, lambda rng: png_of_size(10000, 10000)),
    "zero_wide": (".png", ERROR, lambda rng: png_of_size(0, 10)),
    "eps": (".eps", ERROR, lambda rng: encoded(photo(rng), "EPS")),
}


def truncated(rng, format):
    data = encoded(photo(rng, 64, 64), format)
    return data[: int(len(data) * rng.uniform(0.3, 0.8))]


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = int(value)
    return exif


# What is passed as it is: name -> (what must come of it, function -> source).
ARRAYS = {
    "uint8": (PICTURE, photo),
    "int64": (PICTURE, lambda rng: photo(rng).astype("int64")),
    "float16": (PICTURE, lambda rng: photo(rng).astype("float16")),
    "float64": (PICTURE, lambda rng: photo(rng).astype("float64") + 0.25),
    "gray": (PICTURE, lambda rng: photo(rng)[..., 0]),
    "gray_axis": (PICTURE, lambda rng: photo(rng)[..., :1]),
    "alpha": (PICTURE, lambda rng: np.dstack([photo(rng, 5, 6), np.zeros((5, 6))])),
    "strided": (PICTURE, lambda rng: photo(rng, 20, 20)[::-2, ::3]),
    "read_only": (PICTURE, lambda rng: np.broadcast_to(np.uint8(9), (4, 5, 3))),
    "picture": (PICTURE, lambda rng: Image.fromarray(photo(rng)).convert("CMYK")),
    "picture_float": (ERROR, lambda rng: Image.new("F", (4, 4))),
    "nan": (ERROR, lambda rng: np.where(rng.random((4, 5, 3)) < 0.3, np.nan, 1.0)),
    "infinite": (ERROR, lambda rng: np.full((4, 5, 3), np.inf)),
    "uint16": (ERROR, lambda rng: photo(rng, 8, 8).astype("uint16") * 257 + 256),
    "negative": (ERROR, lambda rng: photo(rng).astype("int16") - 300),
    "bool": (ERROR, lambda rng: photo(rng) > 100),
    "complex": (ERROR, lambda rng: photo(rng).astype("complex64")),
    "text": (ERROR, lambda rng: np.full((2, 2, 3), "pixel")),
    "object": (ERROR, lambda rng: np.full((2, 2, 3), None)),
    "empty": (ERROR, lambda rng: np.zeros((0, 4, 3), "uint8")),
    "two_channels": (ERROR, lambda rng: photo(rng)[..., :2]),
    "channels_first": (ERROR, lambda rng: np.zeros((3, 30, 40), "uint8")),
    "vector": (ERROR, lambda rng: np.zeros(30, "uint8")),
    "none": (ERROR, lambda rng: None),
    "number": (ERROR, lambda rng: 7),
    "missing_file": (ERROR, lambda rng: f"no-such-{rng.integers(1e9)}.jpg"),
    "folder": (ERROR, lambda rng: "."),
    "null_in_path": (ERROR, lambda rng: "a\0b.jpg"),
}


def sources(folder, count, seed=0):
    """`count` hostile sources in turn: (category, what must come of it, source)."""
    rng = np.random.default_rng(seed)
    names = [*FILES, *ARRAYS]
    for number in range(count):
        name = names[number % len(names)]
        if name in ARRAYS:
            expected, make = ARRAYS[name]
            yield name, expected, make(rng)
            continue
        suffix, expected, make = FILES[name]
        path = folder / f"{number:04d}_{name}{suffix}"
        path.write_bytes(make(rng))
        yield name, expected, path
