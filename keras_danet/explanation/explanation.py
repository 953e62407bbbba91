"""The papers' attention figures for any image."""

from typing import NamedTuple

import numpy as np

from keras_danet.explanation.probe import AttentionProbe, gammas, scores_of_points
from keras_danet.images import as_image
from keras_danet.inference.segmentation import check_range, labels_of


class Explanation(NamedTuple):
    """What `explain` saw; what the model does not have is None or empty.

    Attributes:
        image: (H, W, 3) as given.
        labels: (H, W), the model's class ids.
        points: list of (row, column) in the image.
        position_maps: float32 (P, h, w), where each point looks; each sums to one.
        channels: list of channel numbers.
        channel_maps: float32 (M, h, w), these channels after the channel attention.
        channel_scores: float32 (C, C), the channel attention map; rows sum to one.
        low_weights, high_weights: float32 (filters,), DAFM's channel weights of the
            lower and the higher stage, in [0, 1].
        confidence: float32 (h, w), 2DPAM's trust in the low stage, in [0, 1].
        gammas: {layer name: float}, the learned scales of PAM and CAM.
        class_names: list of names, or None.
    """

    image: np.ndarray
    labels: np.ndarray
    points: list
    position_maps: np.ndarray | None
    channels: list
    channel_maps: np.ndarray | None
    channel_scores: np.ndarray | None
    low_weights: np.ndarray | None
    high_weights: np.ndarray | None
    confidence: np.ndarray | None
    gammas: dict
    class_names: list | None

    def plot(self, path=None):
        """All of it in one figure.

        Args:
            path: where to save it as well, or None.

        Returns:
            A `matplotlib.figure.Figure`.
        """
        from keras_danet.explanation.figure import draw

        return draw(self, path)


def explain(model, image, points=None, *, channels=3):
    """Shows what a model's attention modules see in an image.

    For each chosen point the sub-attention map of PAM: where the point gathers from.
    Only the asked rows of the N x N map are computed, so that 1024x2048 pixels fit.
    Further the channels after CAM, DAFM's two weight vectors, 2DPAM's confidence map
    and the learned scales `gamma`: PAM and CAM with `gamma` 0 do nothing yet.

    Args:
        model: a `DANet` or `DFDAM`, or any functional model with layers of these kinds
            and names: `position_attention`, `channel_attention`, `dafm`, `pam2d`.
        image: as in `segment`, one image; it is seen whole.
        points: list of (row, column) in pixels of the image, from its top left; None
            for the center.
        channels: channel numbers to show after CAM, or an int: that many which vary
            most over the image.

    Returns:
        An `Explanation`, with arrays and `.plot()`.

    Raises:
        ValueError: a model without attention layers, points for one without position
            attention, a point outside the image, or an image that cannot be used.

    Example:

    >>> seen = keras_danet.explain(model, "street.jpg", points=[(400, 900), (120, 60)])
    >>> seen.plot("attention.png")

    Reference: DANet, figure 6; DF-DAM, figures 7 and 8.
    """
    image = as_image(image)
    check_range(model, image)
    probe = AttentionProbe(model)
    if points is not None and "position_attention" not in probe.layers:
        raise ValueError(
            "`points` ask where positions look, and this model has no position "
            "attention: leave `points` out. "
            f"Received: points={points!r}, model={model.name!r} with "
            f"{', '.join(probe.layers)}"
        )
    points = _checked_points(points, image.shape[:2])
    seen = probe(image[None])
    maps = {"points": points, "channels": [], "gammas": gammas(probe.layers)}
    for name, layer in probe.layers.items():
        maps |= _READERS[name](layer, seen[name], image.shape[:2], points, channels)
    absent = set(Explanation._fields) - {"image", "labels", "class_names", *maps}
    return Explanation(
        image=image,
        labels=labels_of(seen["logits"][0]),
        class_names=getattr(model, "class_names", None),
        **maps,
        **dict.fromkeys(absent),
    )


def _read_position(layer, features, size, points, channels):
    return {"position_maps": scores_of_points(layer, features, size, points)}


def _read_channel(layer, seen, size, points, channels):
    output, scores = seen
    output = output[0].astype("float32")  # (h, w, C)
    if np.ndim(channels) == 0:
        if channels < 0:
            raise ValueError(
                "`channels` is how many channels to show, or a list of their indices. "
                f"Received: channels={channels}"
            )
        varied = output.std(axis=(0, 1)).argsort()[::-1]
        channels = varied[: int(channels)].tolist()
    outside = [c for c in channels if not 0 <= c < output.shape[-1]]
    if outside:
        raise ValueError(
            f"The channel attention has the channels 0 to {output.shape[-1] - 1}. "
            f"Received: channels={outside}"
        )
    return {
        "channels": list(channels),
        "channel_maps": np.moveaxis(output[..., channels], -1, 0),
        "channel_scores": scores[0],
    }


def _read_dafm(layer, seen, size, points, channels):
    _, (low, high) = seen
    return {"low_weights": low[0], "high_weights": high[0]}


def _read_pam2d(layer, seen, size, points, channels):
    _, score = seen
    return {"confidence": score[0, :, :, 0]}


_READERS = {
    "position_attention": _read_position,
    "channel_attention": _read_channel,
    "dafm": _read_dafm,
    "pam2d": _read_pam2d,
}


def _checked_points(points, size):
    if points is None:
        return [(size[0] // 2, size[1] // 2)]
    array = np.asarray(points)
    integral = array.dtype.kind in "iu" and array.ndim == 2 and array.shape[1] == 2
    if not integral or not ((array >= 0) & (array < size)).all():
        raise ValueError(
            "`points` are (row, column) pairs of whole pixels inside the image of "
            f"{size[0]} rows and {size[1]} columns. Received: points={points!r}"
        )
    return [tuple(point) for point in array.tolist()]
