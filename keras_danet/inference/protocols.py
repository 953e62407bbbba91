"""The two ways in which the field turns a network's windows into probabilities."""

import math

import numpy as np

from keras_danet.inference.exponentials import ExponentialSums
from keras_danet.inference.interpolation import bands, find_taps, interpolate, resize
from keras_danet.inference.windows import cut_windows, shifted_windows


def mmseg_probabilities(predict, image, size, setting):
    """mmsegmentation's evaluation: softmax averaged over scales and flips.

    At each scale, and for the mirrored image, logits are averaged over the windows
    that see a pixel, resized to `size`, and only then go through the softmax.

    Args:
        predict: function (n, h, w, 3) -> logits (n, h, w, K), NumPy.
        image: (H, W, 3).
        size: (height, width) of the result.
        setting: `setting.Setting`.

    Returns:
        (height, width, K), summing to one.

    Reference: `EncoderDecoder` and `SegTTAModel` of mmsegmentation 1.2.2.
    """
    total, rounds = None, 0
    for scale in setting.scales:
        scaled = resize(image, _mmseg_size(image.shape, scale, setting.base_size))
        for step in (1, -1)[: 1 + setting.flip]:
            # No name for the logits: they must be gone before the next ones come.
            total = _add_softmax(
                total,
                mean_logits(predict, scaled[:, ::step], setting)[:, ::step],
                size,
                setting.align_corners,
            )
            rounds += 1
    total /= rounds
    return total


def mean_logits(predict, image, setting):
    """Logits (H, W, K) averaged over the shifted windows that see each pixel."""
    window, stride = setting.window_on(image.shape[:2])
    windows = shifted_windows(image.shape[:2], window, stride)
    total, size = None, (windows[0].height, windows[0].width)  # nothing is padded
    for place, logits in _run(predict, image, windows, size, setting.batch_size):
        if len(windows) == 1:
            return logits
        if total is None:
            total = np.zeros((*image.shape[:2], logits.shape[-1]), logits.dtype)
        total[place.region] += logits
    _divide(total, windows)
    return total


def official_probabilities(predict, image, size, setting):
    """The DANet repository's evaluation: exponentials of logits, summed.

    At each scale (long side `ceil(base_size * scale)`, resized with align_corners),
    windows are cut at the border and padded with black; a window's score is
    `exp(logits + mirrored logits of the mirrored window)`, averaged over the windows
    that see a pixel, resized to `size` with align_corners and summed over the scales.

    Differs from the source in that the sums are exact where its `exp` overflows, and
    are divided by their sum over the classes at the end, which changes no label.

    Args:
        predict, image, size, setting: as in `mmseg_probabilities`.

    Returns:
        (height, width, K), summing to one.

    Reference: `MultiEvalModule` of the DANet repository.
    """
    total = None
    for scale in setting.scales:
        scaled_size = _official_size(image.shape, scale, setting.base_size)
        scaled = resize(image, scaled_size, align_corners=True)
        total = _add_resized(total, _window_scores(predict, scaled, setting), size)
    return total.normalize()


def _window_scores(predict, image, setting):
    window, stride = setting.window_on(image.shape[:2])
    windows = cut_windows(image.shape[:2], window, stride)
    scores = None

    def summed(batch):
        logits = predict(batch)
        if setting.flip:
            # PyTorch takes no views with negative strides.
            mirrored = np.ascontiguousarray(batch[:, :, ::-1])
            logits = logits + predict(mirrored)[:, :, ::-1]
        return logits

    for place, logits in _run(summed, image, windows, window, setting.batch_size):
        if scores is None:
            channels = logits.shape[-1]
            scores = ExponentialSums(image.shape[:2], channels, logits.dtype)
        scores.add(place.region, logits)
    _divide(scores.share, windows)
    return scores


def _run(predict, image, windows, size, batch_size):
    """(window, its logits) of all windows, `batch_size` at a time, padded to `size`."""
    for start in range(0, len(windows), batch_size):
        some = windows[start : start + batch_size]
        batch = np.zeros((len(some), *size, 3), _float_type(image))  # 0 is black
        for padded, place in zip(batch, some, strict=True):
            padded[: place.height, : place.width] = image[place.region]
        logits = predict(batch)
        for place, window_logits in zip(some, logits, strict=True):
            yield place, window_logits[: place.height, : place.width]


def _float_type(image):
    return "float64" if image.dtype == "float64" else "float32"


def _divide(total, windows):
    """Divides each pixel by the number of windows that see it."""
    if len(windows) == 1:
        return
    count = np.zeros(total.shape[:2], total.dtype)
    for place in windows:
        count[place.region] += 1
    for row, row_count in zip(total, count, strict=True):
        row /= row_count[:, None]


def _add_softmax(total, logits, size, align_corners):
    if total is None:
        same = logits.shape[:2] == tuple(size) and logits.flags.writeable
        total = logits if same else np.zeros((*size, logits.shape[-1]), logits.dtype)
    rows = find_taps(logits.shape[0], size[0], align_corners)
    columns = find_taps(logits.shape[1], size[1], align_corners)
    for band in bands(*total.shape):
        if logits.shape[:2] == tuple(size):
            part = logits[band]
        else:
            part = interpolate(interpolate(logits, rows.of(band), 0), columns, 1)
        part = softmax(part)
        if total is logits:
            total[band] = part
        else:
            total[band] += part
    return total


def _add_resized(total, scores, size):
    old_size = scores.peak.shape
    if total is None:
        if old_size == tuple(size):
            return scores
        total = ExponentialSums(size, scores.share.shape[-1], scores.share.dtype)
    rows = find_taps(old_size[0], size[0], align_corners=True)
    columns = find_taps(old_size[1], size[1], align_corners=True)
    for band in bands(*total.share.shape):
        share, peak = scores.interpolated(rows.of(band), columns)
        total.merge((band, slice(None)), share, peak)
    return total


def softmax(logits):
    """Softmax over the last axis of a NumPy array."""
    result = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result /= result.sum(axis=-1, keepdims=True)
    return result


def _mmseg_size(shape, scale, base_size):
    height, width = shape[:2]
    factor = scale
    if base_size is not None:
        limits = (base_size,) if isinstance(base_size, int) else sorted(base_size)[::-1]
        sides = sorted((height, width))[::-1]
        factor *= min(limit / side for limit, side in zip(limits, sides, strict=False))
    return tuple(max(1, int(side * factor + 0.5)) for side in (height, width))


def _official_size(shape, scale, base_size):
    height, width = shape[:2]
    long_side = math.ceil((base_size or max(height, width)) * scale)
    short_side = int(min(height, width) * long_side / max(height, width) + 0.5)
    short_side = max(short_side, 1)
    return (long_side, short_side) if height > width else (short_side, long_side)
