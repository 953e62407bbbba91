"""The orientation that a camera notes in a JPEG, and turning by it."""

import tensorflow as tf

_ORIENTATION = 0x0112
_SHORT = 3
_MAX_ENTRIES = 256


def orientation_of(reader, position):
    """EXIF's orientation of a file.

    Args:
        reader: `ByteReader`.
        position: int64, where the TIFF header of the EXIF data begins; 0: none.

    Returns:
        int64 scalar, 1 (upright) to 8; 1 where there is none or it makes no sense.
    """
    little = reader.starts_with(b"II", position)
    known = little | reader.starts_with(b"MM", position)

    def number(at, length):
        return tf.where(little, reader.little(at, length), reader.big(at, length))

    directory = position + number(position + 4, 4)
    count = tf.minimum(number(directory, 2), _MAX_ENTRIES)
    entries = directory + 2 + 12 * tf.range(count)  # (count,)
    found = (number(entries, 2) == _ORIENTATION) & (number(entries + 2, 2) == _SHORT)
    values = tf.boolean_mask(number(entries + 8, 2), found)
    value = tf.concat([values, [1]], 0)[0]
    sensible = known & (position > 0) & (value >= 1) & (value <= 8)
    return tf.where(sensible, value, 1)


def turned_upright(image, orientation):
    """An image (H, W, C) as its orientation, 1 to 8, says it is to be seen."""
    turned = orientation >= 5
    image = tf.cond(turned, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    # Mirrored left to right: 2, 3, 6, 7. Top to bottom: 3, 4, 7, 8.
    across = tf.gather(
        [False, False, True, True, False, False, True, True, False], orientation
    )
    down = tf.gather(
        [False, False, False, True, True, False, False, True, True], orientation
    )
    image = tf.cond(across, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(down, lambda: tf.reverse(image, [0]), lambda: image)
