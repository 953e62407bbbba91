"""One random draw, applied to an image and its label alike.

Every function takes its randomness as a stateless `seed` (int32, shape (2,)), so that
the result is a pure function of its arguments, eagerly and in `tf.data`.
"""

import tensorflow as tf

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
):
    """Random scale, crop and horizontal flip.

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

    Returns:
        uint8 (h, w, 3) and uint8 (h, w).
    """
    seeds = tf.random.split(seed, 3)
    size = tf.shape(label)
    crop = size if crop_size is None else tf.constant(crop_size, tf.int32)
    factor = _draw_scale(seeds[0], scale, scale_step)
    if base_size is not None:
        factor *= base_size / tf.cast(tf.reduce_min(size), tf.float32)
    image, label = _random_window(image, label, seeds[1], crop, factor, max_class_share)
    if flip:
        mirrored = tf.random.stateless_uniform((), seeds[2]) < 0.5
        image = tf.where(mirrored, image[:, ::-1], image)
        label = tf.where(mirrored, label[:, ::-1], label)
    if crop_size is not None:
        image.set_shape((*crop_size, 3))
        label.set_shape(crop_size)
    return image, label


def _draw_scale(seed, scale, step):
    low, high = scale
    if step is None:
        return tf.random.stateless_uniform((), seed, low, high)
    count = round((high - low) / step) + 1
    index = tf.random.stateless_uniform((), seed, 0, count, tf.int32)
    return low + step * tf.cast(index, tf.float32)


def _random_window(image, label, seed, crop, factor, max_class_share):
    """A random window of crop / factor source pixels, resized and padded to `crop`."""
    size = tf.shape(label)
    window = tf.cast(tf.round(tf.cast(crop, tf.float32) / factor), tf.int32)
    window = tf.clip_by_value(window, 1, size)
    target = tf.cast(tf.round(tf.cast(window, tf.float32) * factor), tf.int32)
    # Rounding may miss the crop by a pixel; a window inside the source fills it.
    target = tf.where(window < size, crop, tf.clip_by_value(target, 1, crop))

    places = tf.random.stateless_uniform((CLASS_SHARE_TRIES + 1, 2), seed)
    places = tf.cast(places * tf.cast(size - window + 1, tf.float32), tf.int32)
    places = tf.minimum(places, size - window)

    def cut(picture, attempt, method):
        return _resize_window(picture, places[attempt], window, target, method)

    def too_uniform(attempt):
        share = largest_class_share(cut(label, attempt, "nearest"))
        return (attempt < CLASS_SHARE_TRIES) & (share >= max_class_share)

    label, attempt = label[..., None], tf.constant(0)
    if max_class_share is not None:
        (attempt,) = tf.while_loop(too_uniform, lambda k: (k + 1,), (attempt,))
    label = cut(label, attempt, "nearest")
    image = cut(image, attempt, "bilinear")
    return _pad(image, crop, IMAGENET_MEAN), _pad(label, crop, [IGNORED])[..., 0]


def _resize_window(picture, place, window, target, method):
    picture = tf.slice(picture, [place[0], place[1], 0], [window[0], window[1], -1])
    picture = tf.image.resize(picture, target, method)
    return tf.cast(tf.round(picture) if method == "bilinear" else picture, tf.uint8)


def _pad(picture, size, value):
    """Fills the right and bottom up to `size` with one color."""
    missing = size - tf.shape(picture)[:2]
    value = tf.constant(value, tf.uint8)
    # Padding with a constant per channel: pad the difference to it with zeros.
    # uint8 arithmetic wraps around and comes back.
    return tf.pad(picture - value, [[0, missing[0]], [0, missing[1]], [0, 0]]) + value


def largest_class_share(label):
    """Share of the most frequent class of the labelled pixels; 1 without any."""
    counts = tf.math.bincount(
        tf.cast(tf.reshape(label, [-1]), tf.int32), minlength=256, maxlength=256
    )[:IGNORED]
    total = tf.reduce_sum(counts)
    share = tf.reduce_max(counts) / tf.maximum(total, 1)
    return tf.where(total > 0, share, tf.ones_like(share))
