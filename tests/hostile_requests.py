"""Encoded images that clients really send, good and bad, and what must come of each."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.hostile import encoded, orientation, photo, png_of_size, truncated

SEGMENTED = ""  # answered, as `segment` answers the same file


def _chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_with_texts(count):
    """A small PNG with texts that each unpack to 1 MB."""
    png = encoded(np.zeros((4, 4, 3), "uint8"), "PNG")
    text = _chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 2**20, 9))
    return png[:33] + count * text + png[33:]


def png_16_bit_color(rng):
    """Pillow reads, but does not write, PNG of 16 bits and three channels."""
    pixels = rng.integers(0, 2**16, (5, 6, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 5, 16, 2, 0, 0, 0))
    body = header + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def progressive_of_many_scans(count):
    """A small file that goes over a picture of 1024x1024 again and again."""
    jpeg = encoded(np.zeros((1024, 1024, 3), "uint8"), "JPEG", progressive=True)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + count * last + jpeg[-2:]


def animated_gif(rng, frames=3):
    pictures = [Image.fromarray(photo(rng, 20, 30)) for _ in range(frames)]
    data = io.BytesIO()
    pictures[0].save(data, "GIF", save_all=True, append_images=pictures[1:])
    return data.getvalue()


def gif_of_partial_frame():
    data = bytearray(encoded(np.zeros((8, 8, 3), "uint8"), "GIF"))
    data[6:8] = struct.pack("<H", 16)  # the screen is wider than its frame
    return bytes(data)


def gif_of_many_blocks():
    """A first frame in blocks of one byte, which take a step each to walk over."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 100, 100, 0, 0, 0)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 100, 100, 0) + b"\x08"
    return screen + frame + b"\1a" * 50_000


def jpeg_of_size(width, height):
    jpeg = encoded(np.zeros((8, 8, 3), "uint8"), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def bmp_of_size(width, height):
    bmp = bytearray(encoded(np.zeros((8, 8, 3), "uint8"), "BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    return bytes(bmp)


def gif_of_size(width, height):
    gif = bytearray(encoded(np.zeros((8, 8, 3), "uint8"), "GIF"))
    size = struct.pack("<HH", width, height)
    frame = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    gif[6:10] = gif[frame + 5 : frame + 9] = size
    return bytes(gif)


def damaged_inside(rng, format):
    """Some bytes after the header changed; a decoder may or may not notice."""
    data = bytearray(encoded(photo(rng, 48, 64), format))
    for at in rng.integers(len(data) // 2, len(data), 8):
        data[at] = rng.integers(256)
    return bytes(data)


ANYTHING = None  # an answer or an error, but one of them, and soon
TRUNCATED = "truncated or damaged"
TOO_LARGE = "more than the"

# Name -> (part of the error; SEGMENTED or ANYTHING, function of a generator -> bytes).
REQUESTS = {
    "jpeg": (SEGMENTED, lambda rng: encoded(photo(rng), "JPEG")),
    "jpeg_progressive": (
        SEGMENTED,
        lambda rng: encoded(photo(rng), "JPEG", progressive=True),
    ),
    "jpeg_gray": (SEGMENTED, lambda rng: encoded(photo(rng), "JPEG", "L")),
    "jpeg_cmyk": (SEGMENTED, lambda rng: encoded(photo(rng), "JPEG", "CMYK")),
    "jpeg_exif": (
        SEGMENTED,
        lambda rng: encoded(photo(rng), "JPEG", exif=orientation(rng.integers(1, 9))),
    ),
    "jpeg_exif_nonsense": (
        SEGMENTED,
        lambda rng: encoded(photo(rng), "JPEG", exif=b"Exif\0\0" + rng.bytes(20)),
    ),
    "jpeg_truncated": (TRUNCATED, lambda rng: truncated(rng, "JPEG")),
    "jpeg_damaged": (ANYTHING, lambda rng: damaged_inside(rng, "JPEG")),
    "jpeg_many_scans": ("too many scans", lambda rng: progressive_of_many_scans(200)),
    "jpeg_bomb": (TOO_LARGE, lambda rng: jpeg_of_size(30000, 30000)),
    "jpeg_no_size": ("gives no size", lambda rng: jpeg_of_size(0, 0)),
    "png": (SEGMENTED, lambda rng: encoded(photo(rng), "PNG")),
    "png_rgba": (SEGMENTED, lambda rng: encoded(photo(rng), "PNG", "RGBA")),
    "png_palette": (SEGMENTED, lambda rng: encoded(photo(rng), "PNG", "P")),
    "png_bilevel": (SEGMENTED, lambda rng: encoded(photo(rng), "PNG", "1")),
    "png_gray_alpha": (SEGMENTED, lambda rng: encoded(photo(rng), "PNG", "LA")),
    "png_16_bit_gray": (
        SEGMENTED,
        lambda rng: encoded(photo(rng)[..., 0].astype("uint16") * 257 + 100, "PNG"),
    ),
    "png_16_bit_color": (SEGMENTED, png_16_bit_color),
    "png_1x1": (SEGMENTED, lambda rng: encoded(photo(rng, 1, 1), "PNG")),
    "png_one_row": (SEGMENTED, lambda rng: encoded(photo(rng, 1, 300), "PNG")),
    "png_truncated": (TRUNCATED, lambda rng: truncated(rng, "PNG")),
    "png_damaged": (ANYTHING, lambda rng: damaged_inside(rng, "PNG")),
    "png_bomb": (TOO_LARGE, lambda rng: png_of_size(30000, 30000)),
    "png_zero_wide": ("no pixels", lambda rng: png_of_size(0, 10)),
    "png_texts": ("more texts", lambda rng: png_with_texts(40)),
    "gif": (SEGMENTED, lambda rng: encoded(photo(rng), "GIF")),
    "gif_animated": (SEGMENTED, animated_gif),
    "gif_partial": ("does not fill", lambda rng: gif_of_partial_frame()),
    "gif_truncated": (TRUNCATED, lambda rng: truncated(rng, "GIF")),
    "gif_many_blocks": (TRUNCATED, lambda rng: gif_of_many_blocks()),
    "gif_bomb": (TOO_LARGE, lambda rng: gif_of_size(30000, 30000)),
    "bmp": (SEGMENTED, lambda rng: encoded(photo(rng), "BMP")),
    "bmp_palette": ("palette", lambda rng: encoded(photo(rng), "BMP", "P")),
    "bmp_truncated": (TRUNCATED, lambda rng: truncated(rng, "BMP")),
    "bmp_bomb": (TOO_LARGE, lambda rng: bmp_of_size(30000, 30000)),
    "bmp_negative": ("no pixels", lambda rng: bmp_of_size(-8, 8)),
    "empty": ("is empty", lambda rng: b""),
    "text": ("none of JPEG", lambda rng: b"<html>404 not found</html>"),
    "noise": ("none of JPEG", lambda rng: rng.bytes(500)),
    "webp": ("none of JPEG", lambda rng: encoded(photo(rng), "WEBP")),
    "start_of_jpeg": (TRUNCATED, lambda rng: encoded(photo(rng), "JPEG")[:30]),
    "start_of_png": (TRUNCATED, lambda rng: encoded(photo(rng), "PNG")[:30]),
    "start_of_gif": (TRUNCATED, lambda rng: encoded(photo(rng), "GIF")[:15]),
    "start_of_bmp": ("BMP", lambda rng: encoded(photo(rng), "BMP")[:20]),
}
