"""Encoded images in a graph: checked, decoded and turned upright, or refused by index.

What comes out equals what `keras_danet.segment` makes of the same file: RGB without
alpha, 16-bit gray scaled to [0, 255], the first frame, upright by a JPEG's EXIF tag.
"""

import tensorflow as tf

from keras_danet.export import image_header
from keras_danet.export.exif import turned_upright

_CPU = "/CPU:0"
_NAMED = 10  # so many bad images of a batch are described


def refuse_bad_images(contents, max_pixels):
    """The batch as it is, or an InvalidArgumentError that names the bad images.

    Every image is decoded once for this and dropped, so that a batch takes the memory
    of one image, however many there are.

    Args:
        contents: string (B,), encoded images.
        max_pixels: int, pixels of an image that are decoded at most.

    Returns:
        `contents`, to be used in its place: what follows waits for the check.
    """
    with tf.device(_CPU):
        problems = tf.map_fn(
            lambda image: problem_of(image, max_pixels),
            contents,
            fn_output_signature=tf.string,
            parallel_iterations=1,
        )
        fine = tf.debugging.Assert(tf.reduce_all(problems == ""), [_message(problems)])
        with tf.control_dependencies([fine]):
            return tf.identity(contents)


def _message(problems):
    bad = tf.where(problems != "")[:, 0]
    lines = tf.strings.join(
        [
            "image ",
            tf.strings.as_string(bad[:_NAMED]),
            ": ",
            tf.gather(problems, bad[:_NAMED]),
        ]
    )
    return tf.strings.join(
        [
            tf.strings.as_string(tf.size(bad)),
            " of ",
            tf.strings.as_string(tf.size(problems)),
            " images cannot be used (counted from 0), and none was segmented: ",
            tf.strings.reduce_join(lines, separator="; "),
        ]
    )


def problem_of(contents, max_pixels):
    """Why a scalar string is no image to segment, or ""; never an error."""
    header = image_header.read_header(contents)
    return tf.cond(
        header.fault != "",
        lambda: header.fault,
        lambda: tf.cond(
            header.width * header.height > max_pixels,
            lambda: _too_large(header, max_pixels),
            lambda: _undecodable(contents, header),
        ),
    )


def decode(contents):
    """An image that `problem_of` found nothing wrong with, as float32 (H, W, 3)."""
    with tf.device(_CPU):
        header = image_header.read_header(contents)
        return turned_upright(_decode(contents, header), header.orientation)


def _too_large(header, max_pixels):
    size = [tf.strings.as_string(n) for n in (header.width, header.height)]
    return tf.strings.join(
        [
            "it has ",
            size[0],
            "x",
            size[1],
            f" pixels, more than the {max_pixels} that this model decodes; send it "
            "smaller",
        ]
    )


def _undecodable(contents, header):
    # An error of a decoder would end the request without naming the image. A data set
    # is the one place in a graph where an error can be caught.
    tried = tf.data.Dataset.from_tensors((contents, header)).map(
        lambda contents, header: tf.shape(_decode(contents, header))[0]
    )
    tried = tried.ignore_errors().concatenate(tf.data.Dataset.from_tensors(0))
    height = tried.take(1).get_single_element()
    return tf.where(height > 0, "", "it cannot be decoded: truncated or damaged")


# One function in a graph: it is called to try an image and to read it.
@tf.function(autograph=False)
def _decode(contents, header):
    """float32 (H, W, 3) in [0, 255], as stored."""
    branches = {
        # Pillow's transform; TensorFlow's default is another, a gray level or two off.
        image_header.JPEG: lambda: tf.io.decode_jpeg(
            contents, channels=3, dct_method="INTEGER_ACCURATE"
        ),
        image_header.PNG: lambda: _decode_png(contents, header),
        image_header.GIF: lambda: _decode_gif(contents, header),
        image_header.BMP: lambda: tf.io.decode_bmp(contents)[..., :3],
    }
    with tf.device(_CPU):
        image = tf.switch_case(
            header.kind,
            {
                kind: lambda branch=branch: tf.cast(branch(), tf.float32)
                for kind, branch in branches.items()
            },
        )
    return tf.ensure_shape(image, (None, None, 3))


def _decode_png(contents, header):
    def deep():
        gray = tf.io.decode_png(contents, channels=1, dtype=tf.uint16)
        return tf.repeat(tf.cast(gray, tf.float32) / 257, 3, axis=-1)

    def usual():
        return tf.cast(tf.io.decode_png(contents, channels=3), tf.float32)

    return tf.cond(header.deep, deep, usual)


def _decode_gif(contents, header):
    first = tf.strings.substr(contents, 0, tf.cast(header.end, tf.int32))
    return tf.io.decode_gif(tf.strings.join([first, b"\x3b"]))[0]
