"""Street scenes drawn by NumPy: something to train on with no download.

One camera looks down a street. Ground and facades are planes in perspective, things
stand on the ground and are drawn from far to near, so that near ones hide far ones.
Colors vary so much that no class can be told by its color alone.
"""

import numpy as np

from keras_danet.data.indexed import indexed
from keras_danet.data.street.background import draw_facades, draw_ground, draw_sky
from keras_danet.data.street.canvas import Street, smooth_noise
from keras_danet.data.street.things import VOID, things


def scenes(count, seed=0, image_size=(128, 192)):
    """Synthetic street scenes of 9 classes, drawn when they are read.

    Sky, building, road, pavement, tree, car, person, pole and sign
    (`CLASSES["scenes"]`), with occlusion, thin things, and void (255) around near
    things and on the hood of the own car. Scene `i` is a pure function of
    `(seed, i, image_size)`; another seed gives scenes never seen.

    Args:
        count: Number of scenes.
        seed: Non-negative int.
        image_size: (height, width) in pixels, at least 16 each.

    Returns:
        `tf.data.Dataset` of `(image uint8 (H, W, 3), label uint8 (H, W))`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> train = keras_danet.data.scenes(200)
        >>> unseen = keras_danet.data.scenes(40, seed=1)
    """
    if count < 1 or seed < 0 or min(image_size) < 16:
        raise ValueError(
            "`count` must be at least 1, `seed` at least 0 and `image_size` at least "
            f"16 each. Received: count={count}, seed={seed}, image_size={image_size}"
        )

    def draw(index):
        return draw_scene(seed, int(index), image_size)

    return indexed(count, draw, image_size)


def draw_scene(seed, index, image_size=(128, 192)):
    """Scene number `index`: image uint8 (H, W, 3) and label uint8 (H, W)."""
    rng = np.random.default_rng((seed, index))
    street = Street(rng, *image_size)
    draw_sky(street, rng)
    draw_facades(street, rng)
    draw_ground(street, rng)
    for depth, draw in sorted(things(street, rng), key=lambda thing: -thing[0]):
        draw(street, rng, depth)
    _draw_hood(street, rng)
    return _develop(street, rng), street.label


def _draw_hood(street, rng):
    """The front of the own car: void, as in real recordings."""
    height, width = street.label.shape
    bulge = rng.uniform(0, 0.12) * height
    middle = (street.columns / width - 0.5) * 2
    hood = street.rows > height - bulge * (1 - 0.5 * middle**2)
    street.paint(hood, rng.uniform(0.05, 0.8, 3), VOID, 1)


def _develop(street, rng):
    """Haze, light, blur and grain of the camera; uint8."""
    height, width = street.label.shape
    clear = np.exp(-street.depth * rng.uniform(0.001, 0.018))[..., None]
    image = street.image * clear + np.float32(street.haze) * (1 - clear)
    light = 1 + 0.12 * smooth_noise(rng, height, width, 4)
    light *= rng.uniform(0.55, 1.15)
    image *= light[..., None] * rng.uniform(0.88, 1.12, 3).astype("float32")
    image[1:-1] = (image[:-2] + 2 * image[1:-1] + image[2:]) / 4
    image[:, 1:-1] = (image[:, :-2] + 2 * image[:, 1:-1] + image[:, 2:]) / 4
    grain = rng.integers(-128, 128, (height, width, 3), dtype="int8")
    image += grain * np.float32(rng.uniform(0.00007, 0.0004))
    return (np.clip(image, 0, 1) * 255).astype("uint8")
