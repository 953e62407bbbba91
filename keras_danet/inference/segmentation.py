"""Images in, probabilities and labels out: whole or in windows, scales and flips."""

from typing import NamedTuple

import keras
import numpy as np

from keras_danet.images import as_image, as_numpy
from keras_danet.inference.protocols import mmseg_probabilities, official_probabilities
from keras_danet.inference.setting import Setting

PROTOCOLS = {"mmseg": mmseg_probabilities, "official": official_probabilities}


class Segmentation(NamedTuple):
    """What `segment` found in an image.

    Attributes:
        labels: (H, W) class ids, the likeliest of each pixel; uint8 up to 255 classes.
        probabilities: (H, W, K) floats in [0, 1], summing to one.
    """

    labels: np.ndarray
    probabilities: np.ndarray


class UnreadableImages(ValueError):
    """Some images of a list could not be used; the others were segmented.

    Attributes:
        results: list of `Segmentation`, None for the images that could not be used.
        errors: {index in the list: what is wrong}.
    """

    def __init__(self, results, errors):
        self.results, self.errors = results, errors
        lines = "\n".join(f"  image {index}: {e}" for index, e in errors.items())
        super().__init__(
            f"{len(errors)} of {len(results)} images could not be used; the results "
            f"of the others are in `error.results`. Received:\n{lines}"
        )


def segment(
    model,
    image,
    *,
    scales=(1.0,),
    flip=False,
    window=None,
    stride=None,
    base_size=None,
    protocol="mmseg",
    batch_size=1,
):
    """Segments an image: class ids and probabilities at its own size.

    The image is seen whole, or in windows where it is too large or the model was
    trained on crops; scales and flips are averaged. Results are gathered on the host,
    so the accelerator holds `batch_size` windows at a time, whatever the image's size;
    the host holds the probabilities about twice.

    Two protocols say how windows, flips and scales come together:

    - "mmseg": the last windows are shifted back inside the image; logits are averaged
      over windows, and their softmax over scales and flips. (mmsegmentation rounds a
      scaled image to 8 bits; here it stays in floats.)
    - "official": the DANet repository's. The last windows are cut at the border and
      padded with black; exponentials of the summed logits of a window and its mirror
      image are averaged over windows and summed over scales, everything resized with
      align_corners. Its published numbers always flip, and its first release used a
      stride of half a window with several scales.

    Args:
        model: from RGB images (B, H, W, 3) to logits (B, H, W, K) of the images' size:
            a Keras model, or any function, which is given NumPy arrays.
        image: a path, PIL image, array or tensor (H, W, 3) of RGB in [0, 255]; see
            `keras_danet.images.as_image`. Or a list of such, or (B, H, W, 3).
        scales: factors, in (0, inf).
        flip: bool, whether to average with the mirrored image.
        window: pixels, one number or (height, width); None for the whole image.
        stride: pixels between windows, likewise; None for two thirds of the window
            ("mmseg" rounds, "official" cuts).
        base_size: the image's long side at scale 1; None for its own. With "mmseg"
            also a pair of limits (long, short) that the image is fit into.
        protocol: "mmseg" or "official".
        batch_size: int, windows that go through the model together.

    Returns:
        A `Segmentation`; for several images, a list.

    Raises:
        ValueError: an image that cannot be used, an argument out of range, or a model
            whose output is not finite logits of the input's size.
        UnreadableImages: a ValueError; of several images some could not be used. It is
            raised when all others are done, and holds their results.

    Example:

    >>> result = keras_danet.segment(model, "street.jpg")
    >>> result.labels.shape
    (1024, 2048)

    Reference: DANet, table 2 (multi-scale testing); `MultiEvalModule`
    of the DANet repository; `slide_inference` of mmsegmentation 1.2.2.
    """
    setting = Setting.checked(
        model, scales, flip, window, stride, base_size, protocol, batch_size
    )
    if _is_several(image):
        return _segment_several(model, image, setting)
    return _segment_one(model, _usable(model, image), setting)


def probabilities_of(model, image, size, setting):
    """Probabilities (height, width, K) of an RGB array at any `size`.

    The array has passed `check_range`.
    """
    predict = _predictor(model)
    return PROTOCOLS[setting.protocol](predict, image, size, setting)


def labels_of(probabilities):
    """The likeliest class of each pixel, in the smallest unsigned integers."""
    dtype = np.min_scalar_type(probabilities.shape[-1])
    return probabilities.argmax(axis=-1).astype(dtype)


def _segment_one(model, image, setting):
    probabilities = probabilities_of(model, image, image.shape[:2], setting)
    return Segmentation(labels_of(probabilities), probabilities)


def _segment_several(model, images, setting):
    results, errors = [], {}
    for index, source in enumerate(images):
        try:
            image = _usable(model, source)
        except ValueError as error:
            results.append(None)
            errors[index] = error
            continue
        results.append(_segment_one(model, image, setting))
    if errors:
        raise UnreadableImages(results, errors)
    return results


def _usable(model, source):
    image = as_image(source)
    check_range(model, image)
    return image


def _is_several(image):
    return isinstance(image, (list, tuple)) or len(getattr(image, "shape", ())) == 4


def _predictor(model):
    """A function of NumPy images to NumPy logits, whose output is checked."""
    if isinstance(model, keras.Model):

        def call(images):
            return model.predict_on_batch(images.astype("float32", copy=False))
    else:

        def call(images):
            return model(images)

    def predict(images):
        logits = call(images)
        if not hasattr(logits, "shape") or logits.shape[:-1] != images.shape[:-1]:
            output = getattr(logits, "shape", type(logits).__name__)
            raise ValueError(
                "A model must turn images (B, H, W, 3) into logits (B, H, W, K) of "
                "their size; end it with a resize, and pass a model of one output. "
                f"Received: images {images.shape}, output {output}"
            )
        logits = as_numpy(logits)
        if not np.isfinite(logits).all():
            raise ValueError(
                "The model gave logits that are NaN or infinite: its weights are "
                "broken (a diverged training?), or its dtype is too narrow. "
                f"Received: {int((~np.isfinite(logits)).sum())} of {logits.size} values"
            )
        return logits.astype(np.result_type(logits.dtype, "float32"), copy=False)

    return predict


def check_range(model, image):
    """Refuses an image in [0, 1] where the model divides by 255 itself."""
    if image.dtype.kind != "f" or not isinstance(model, keras.Model):
        return
    names = {layer.name for layer in model.layers}
    low, high = image.min(), image.max()
    if "normalization" in names and 0 <= low < high <= 1:
        raise ValueError(
            "The model normalizes images in [0, 255] itself, and this one lies in "
            "[0, 1]: it would be seen as black. Multiply it by 255. "
            f"Received: {image.dtype} from {low:.3g} to {high:.3g}"
        )
