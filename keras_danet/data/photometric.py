"""Photometric distortion: random brightness, contrast, saturation and hue."""

import tensorflow as tf

BRIGHTNESS = 32.0  # of 255, added
CONTRAST = (0.5, 1.5)  # factor
SATURATION = (0.5, 1.5)  # factor
HUE = 18 / 180  # of the color circle, to both sides


def distort(image, draw):
    """Brightness, contrast, saturation and hue, each with probability 0.5.

    The settings and the order of SSD's distortion as mmsegmentation trains with:
    brightness, contrast (in half of the draws only at the end), saturation, hue; values
    stay in [0, 255] after each.

    Args:
        image: float32 (H, W, 3), RGB in [0, 255].
        draw: float32 (2, 5), uniform in [0, 1): which changes, and how far.

    Returns:
        float32 (H, W, 3) in [0, 255].

    Reference:
        Liu et al.: SSD: Single Shot MultiBox Detector. ECCV 2016, data augmentation.
    """
    chosen, amount = draw[0] < 0.5, draw[1]

    def between(index, bounds):
        return bounds[0] + amount[index] * (bounds[1] - bounds[0])

    # Brightness and contrast are one multiplication away from doing nothing; the
    # conversions of the other two cost more than the rest of the augmentation.
    shift = tf.where(chosen[0], between(0, (-BRIGHTNESS, BRIGHTNESS)), 0.0)
    factor = tf.where(chosen[1], between(1, CONTRAST), 1.0)
    contrast_first = chosen[4]
    image = _clip(image + shift)
    image = _clip(image * tf.where(contrast_first, factor, 1.0))
    image = tf.cond(
        chosen[2],
        lambda: _clip(tf.image.adjust_saturation(image, between(2, SATURATION))),
        lambda: image,
    )
    image = tf.cond(
        chosen[3],
        lambda: _clip(tf.image.adjust_hue(image, between(3, (-HUE, HUE)))),
        lambda: image,
    )
    return _clip(image * tf.where(contrast_first, 1.0, factor))


def _clip(image):
    return tf.clip_by_value(image, 0.0, 255.0)
