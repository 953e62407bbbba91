"""Size, orientation and faults of an encoded image, read before it is decoded.

A file of some bytes can claim to be of any size, and the decoders allocate what it
claims. So the header is parsed first, in TensorFlow operations, by the rules that the
decoders themselves follow; where those would guess, the file is refused.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_danet.export.byte_reader import ByteReader
from keras_danet.export.exif import orientation_of

JPEG, PNG, GIF, BMP = range(4)
# Far above what cameras and programs write. A crafted file of a few MB would else keep
# a decoder busy for minutes, or unpack texts that nobody asked for to gigabytes.
_MAX_SEGMENTS = 2000  # of a JPEG, before the first scan
_MAX_SCANS = 100  # of a progressive JPEG; each goes over the whole picture
_MAX_TEXTS = 16  # of a PNG, compressed, of 8 MB each
_MAX_BLOCKS = 30_000  # of 255 bytes at most, in the first frame of a GIF


class Header(NamedTuple):
    """What the header says; scalars.

    Attributes:
        kind: int32, one of JPEG, PNG, GIF, BMP.
        height, width: int64, as stored.
        orientation: int64, EXIF's 1 to 8.
        end: int64, where the first frame of a GIF ends; else the size of the file.
        deep: bool, a gray PNG of 16 bits.
        fault: string, why the file cannot be used, or "".
    """

    kind: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    orientation: tf.Tensor
    end: tf.Tensor
    deep: tf.Tensor
    fault: tf.Tensor


# One function in a graph, however often it is called.
@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def read_header(contents):
    """The `Header` of a scalar string, for any bytes whatever; never an error."""
    with tf.device("/CPU:0"):  # a GPU would be asked for one byte at a time
        reader = ByteReader.of(contents)
        kinds = [
            reader.starts_with(b"\xff\xd8\xff"),
            reader.starts_with(b"\x89PNG\r\n\x1a\n"),
            reader.starts_with(b"GIF87a") | reader.starts_with(b"GIF89a"),
            reader.starts_with(b"BM"),
            reader.size == 0,
            True,
        ]
        kind = tf.argmax(tf.stack(kinds), output_type=tf.int32)  # the first that is so
        return tf.switch_case(
            kind,
            [
                lambda: _jpeg(reader),
                lambda: _png(reader),
                lambda: _gif(reader),
                lambda: _bmp(reader),
                lambda: _header(reader, JPEG, fault="it is empty"),
                lambda: _header(
                    reader, JPEG, fault="it is none of JPEG, PNG, GIF and BMP"
                ),
            ],
        )


def _header(
    reader, kind, height=0, width=0, orientation=1, end=None, deep=False, fault=""
):
    return Header(
        tf.constant(kind, tf.int32),
        *(tf.cast(value, tf.int64) for value in (height, width, orientation)),
        reader.size if end is None else end,
        tf.convert_to_tensor(deep),
        tf.convert_to_tensor(fault),
    )


def _first_fault(*cases):
    """The text of the first (condition, text) that holds, or ""."""
    fault = tf.constant("")
    for condition, text in reversed(cases):
        fault = tf.where(condition, tf.constant(text), fault)
    return fault


def _png(reader):
    width, height = reader.big(16, 4), reader.big(20, 4)
    depth, color = reader.byte(24), reader.byte(25)
    texts = reader.count(b"zTXt") + reader.count(b"iTXt")
    fault = _first_fault(
        (~reader.starts_with(b"IHDR", 12), "its PNG header is damaged"),
        (texts > _MAX_TEXTS, "it carries more texts than a picture should"),
        ((width == 0) | (height == 0), "it has no pixels"),
    )
    return _header(
        reader, PNG, height, width, deep=(depth == 16) & (color == 0), fault=fault
    )


def _bmp(reader):
    # The height of a picture stored from the top is negative.
    width, height = (_signed(reader.little(at, 4)) for at in (18, 22))
    bits, compression = reader.little(28, 2), reader.little(30, 4)
    fault = _first_fault(
        (reader.little(14, 4) < 40, "it is a BMP of a kind before Windows 3"),
        (
            (bits != 24) & (bits != 32),
            "it is a BMP with a palette or 16 bits, which TensorFlow would decode "
            "to black; save it as PNG or as BMP of 24 bits",
        ),
        (compression != 0, "it is a compressed BMP; save it as PNG"),
        ((width <= 0) | (height == 0), "it has no pixels"),
    )
    return _header(reader, BMP, tf.abs(height), width, fault=fault)


def _signed(value):
    return tf.where(value >= 2**31, value - 2**32, value)


def _jpeg(reader):
    """Walks from marker to marker to the first scan, as libjpeg does."""

    def another(position, count, height, width, exif, fine):
        marker = reader.byte(position + 1)
        at_marker = reader.byte(position) == 0xFF
        return fine & at_marker & (marker != 0xDA) & (count < _MAX_SEGMENTS)

    def step(position, count, height, width, exif, fine):
        marker, length = reader.byte(position + 1), reader.big(position + 2, 2)
        filling = marker == 0xFF  # any number of these may come before a marker
        # Markers without a length have no place before the first scan.
        alone = (marker <= 0x01) | ((marker >= 0xD0) & (marker <= 0xD9))
        frame = (marker >= 0xC0) & (marker <= 0xCF)
        for other in (0xC4, 0xC8, 0xCC):  # tables and an extension
            frame &= marker != other
        fine = filling | (~alone & (length >= 2) & ~(frame & (width > 0)))
        height = tf.where(frame, reader.big(position + 5, 2), height)
        width = tf.where(frame, reader.big(position + 7, 2), width)
        is_exif = (marker == 0xE1) & reader.starts_with(b"Exif\0\0", position + 4)
        exif = tf.where(is_exif & (exif == 0), position + 10, exif)
        position += tf.where(filling, tf.constant(1, tf.int64), 2 + length)
        return position, count + 1, height, width, exif, fine & (position < reader.size)

    zero = tf.constant(0, tf.int64)
    start = (tf.constant(2, tf.int64), 0, zero, zero, zero, tf.constant(True))
    position, _, height, width, exif, _ = tf.while_loop(another, step, start)
    arrived = reader.starts_with(b"\xff\xda", position)
    fault = _first_fault(
        (~arrived, "its JPEG header is truncated or damaged"),
        (reader.count(b"\xff\xda") > _MAX_SCANS, "it has too many scans"),
        ((width == 0) | (height == 0), "its JPEG header gives no size"),
    )
    orientation = orientation_of(reader, exif)
    return _header(reader, JPEG, height, width, orientation, fault=fault)


def _gif(reader):
    """Walks to the end of the first frame: the decoder would unpack all of them."""
    flags = reader.byte(10)
    start = 13 + _table_size(flags)
    # What the next byte begins: a block, a part of an extension, a part of the frame.
    block, extension, frame, over, damaged = range(5)

    def another(position, count, state, descriptor):
        return (state < over) & (count < _MAX_BLOCKS) & (position < reader.size)

    def step(position, count, state, descriptor):
        byte = reader.byte(position)
        is_frame = (state == block) & (byte == 0x2C)
        is_extension = (state == block) & (byte == 0x21)
        descriptor = tf.where(is_frame, position, descriptor)
        next_block = tf.where(
            is_frame, frame, tf.where(is_extension, extension, damaged)
        )
        after_part = tf.where(state == frame, over, block)
        next_part = tf.where(byte == 0, after_part, state)
        # A descriptor, its color table and the code size; an extension and its label.
        block_size = tf.where(
            is_frame,
            11 + _table_size(reader.byte(position + 9)),
            tf.constant(2, tf.int64),
        )
        position += tf.where(state == block, block_size, byte + 1)
        state = tf.where(state == block, next_block, next_part)
        return position, count + 1, state, descriptor

    begin = (start, 0, block, tf.constant(0, tf.int64))
    end, _, state, at = tf.while_loop(another, step, begin)
    left, top, width, height = (reader.little(at + i, 2) for i in (1, 3, 5, 7))
    partial = (left > 0) | (top > 0)
    partial |= (width != reader.little(6, 2)) | (height != reader.little(8, 2))
    fault = _first_fault(
        (state != over, "its first GIF frame is truncated or damaged"),
        ((width == 0) | (height == 0), "it has no pixels"),
        (partial, "its first GIF frame does not fill the picture; save it as PNG"),
    )
    return _header(reader, GIF, height, width, end=end, fault=fault)


def _table_size(flags):
    """The bytes of a color table whose presence and length the flags give."""
    colors = tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
    return tf.where(flags >= 128, 3 * colors, 0)
