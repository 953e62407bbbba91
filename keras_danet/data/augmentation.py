"""One random draw, applied to an image and its label alike.

Every function takes its randomness as a stateless `seed` (int32, shape (2,)), so that
the result is a pure function of its arguments, eagerly and in `tf.data`.
"""

import tensorflow as tf

from keras_danet.data.photometric import distort

IMAGENET_MEAN = (124, 116, 104)  # RGB, rounded: what a padded pixel looks like
IGNORED = 255
CLASS_SHARE_TRIES = 10


def augment(
    image,
    label,
    seed,
    crop_size=None,
    scale=(0.5, 2.0),
    scale_step=None,
    base_size=None,
    flip=True,
    max_class_share=None,
    photometric_distortion=False,
):
    """Random scale, crop and horizontal flip, and photometric distortion.

    Scaling and cropping are one step: a window of crop/scale pixels is cut from the
    source and resized, bilinear for the image and nearest for the label (both with
    half-pixel centers), so that the work is that of the crop and not of the picture.
    Differs from resize-then-crop by less than one source pixel: windows start and end
    at whole pixels. Where the scaled picture is smaller than the crop, the right and
    bottom are filled, the image with the ImageNet mean and the label with 255.

    Args:
        image: uint8 (H, W, 3).
        label: uint8 (H, W).
        seed: int32 (2,).
        crop_size: (h, w) in pixels; `None`: (H, W).
        scale: (low, high): the factor is uniform in this range.
        scale_step: Draw among low, low + step, ..., high instead.
        base_size: Pixels of the short side at factor 1; `None`: as it is.
        flip: Mirror with probability 0.5.
        max_class_share: Draw the window again, up to 10 times, while one class covers
            this share of its labelled pixels or more; the last draw stands.
        photometric_distortion: Change brightness, contrast, saturation and hue of the
            image, not of its padding (`photometric.distort`).

    Returns:
        uint8 (h, w, 3) and uint8 (h, w).
    """
    image, label = tf.convert_to_tensor(image), tf.convert_to_tensor(label)
    scale_draw, flip_draw, places, colors = _draw(seed)
    static_size = tuple(label.shape)
    size = tf.shape(label)
    crop = size if crop_size is None else tf.constant(crop_size, tf.int32)
    factor = _scale_factor(scale_draw, scale, scale_step)
    if base_size is not None:
        factor *= base_size / tf.cast(tf.reduce_min(size), tf.float32)
    mirrored = flip & (flip_draw < 0.5)
    image, label = _random_window(
        image, label, places, crop, factor, mirrored, max_class_share
    )
    if photometric_distortion:
        image = distort(image, colors)
    image = _pad(tf.cast(tf.round(image), tf.uint8), crop, IMAGENET_MEAN)
    label = _pad(label[..., None], crop, [IGNORED])[..., 0]
    # Both sides known or neither: with one, TensorFlow's dilated convolution fails.
    known = static_size if crop_size is None else crop_size
    image.set_shape((*known, 3))
    label.set_shape(known)
    return image, label


def _draw(seed):
    """Everything random of one example, uniform in [0, 1), as one small kernel."""
    tries = CLASS_SHARE_TRIES + 1
    numbers = tf.random.stateless_uniform((2 + 2 * tries + 10,), seed)
    scale, flip, places, colors = tf.split(numbers, (1, 1, 2 * tries, 10))
    return scale[0], flip[0], tf.reshape(places, (tries, 2)), tf.reshape(colors, (2, 5))


def _scale_factor(draw, scale, step):
    low, high = scale
    if step is None:
        return low + draw * (high - low)
    count = round((high - low) / step) + 1
    return low + step * tf.floor(draw * count)


def _random_window(image, label, places, crop, factor, mirrored, max_class_share):
    """A window of crop / factor source pixels, resized: float32 and uint8."""
    size = tf.shape(label)
    window = tf.cast(tf.round(tf.cast(crop, tf.float32) / factor), tf.int32)
    window = tf.clip_by_value(window, 1, size)
    target = tf.cast(tf.round(tf.cast(window, tf.float32) * factor), tf.int32)
    # Rounding may miss the crop by a pixel; a window inside the source fills it.
    target = tf.where(window < size, crop, tf.clip_by_value(target, 1, crop))
    places = tf.cast(places * tf.cast(size - window + 1, tf.float32), tf.int32)
    places = tf.minimum(places, size - window)

    def cut_label(attempt):
        part = tf.slice(label, places[attempt], window)
        return resize_nearest(part, target, mirrored)

    def too_uniform(attempt):
        share = largest_class_share(cut_label(attempt))
        return (attempt < CLASS_SHARE_TRIES) & (share >= max_class_share)

    attempt = tf.constant(0)
    if max_class_share is not None:
        (attempt,) = tf.while_loop(too_uniform, lambda k: (k + 1,), (attempt,))
    part = tf.slice(image, [*tf.unstack(places[attempt]), 0], [*tf.unstack(window), 3])
    # tf.reverse under tf.cond: slicing by ::-1 and tf.where take 20 times as long.
    part = tf.cond(mirrored, lambda: tf.reverse(part, [1]), lambda: part)
    # Of bytes the kernel takes nearly twice as long.
    return tf.image.resize(tf.cast(part, tf.float32), target), cut_label(attempt)


def resize_nearest(label, size, mirrored):
    """A label map (h, w) at another size: nearest neighbor, half-pixel centers.

    Three times as fast as `tf.image.resize` on one channel, the mirror image for
    nothing, and exact: whole numbers only.
    """
    old = tf.shape(label)
    rows = (2 * tf.range(size[0]) + 1) * old[0] // (2 * size[0])
    columns = (2 * tf.range(size[1]) + 1) * old[1] // (2 * size[1])
    columns = tf.cond(mirrored, lambda: columns[::-1], lambda: columns)
    # Rows are copied whole, columns pixel by pixel: transpose, and both are rows.
    label = tf.gather(tf.transpose(label), columns)
    return tf.gather(tf.transpose(label), rows)


def _pad(picture, size, value):
    """Fills the right and bottom up to `size` with one color."""
    height, width = tf.unstack(tf.shape(picture)[:2])
    value = tf.constant(value, tf.uint8)

    def block(*shape):
        return tf.broadcast_to(value, (*shape, value.shape[0]))

    def padded():
        wide = tf.concat([picture, block(height, size[1] - width)], axis=1)
        return tf.concat([wide, block(size[0] - height, size[1])], axis=0)

    full = (height == size[0]) & (width == size[1])
    return tf.cond(full, lambda: picture, padded)


def largest_class_share(label):
    """Share of the most frequent class of the labelled pixels; 1 without any."""
    counts = tf.math.bincount(
        tf.cast(tf.reshape(label, [-1]), tf.int32), minlength=256, maxlength=256
    )[:IGNORED]
    total = tf.reduce_sum(counts)
    share = tf.reduce_max(counts) / tf.maximum(total, 1)
    return tf.where(total > 0, share, tf.ones_like(share))
