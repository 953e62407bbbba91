"""Sums of exponentials of any size, as the official evaluation adds them up."""

import numpy as np


class ExponentialSums:
    """Per pixel and class a sum of exponentials, `share * exp(peak)`.

    The official protocol adds `exp` of summed logits over windows and scales, which
    overflows float32 from 88 on. One exponent per pixel, the largest met so far, keeps
    `share` in reach; it cancels in the probabilities.

    Args:
        size: (height, width).
        channels: int K.
        dtype: of the sums.

    Attributes:
        share: (h, w, K).
        peak: (h, w), -inf where nothing was added.
    """

    def __init__(self, size, channels, dtype="float32"):
        self.share = np.zeros((*size, channels), dtype)
        self.peak = np.full(size, -np.inf, dtype)

    def add(self, region, logits):
        """Adds `exp(logits)`, (h', w', K), at a region (pair of slices)."""
        peak = logits.max(axis=-1)
        self.merge(region, np.exp(logits - peak[..., None]), peak)

    def merge(self, region, share, peak):
        """Adds `share * exp(peak)` at a region."""
        top = np.maximum(self.peak[region], peak)
        # In place: what is indexed by slices is a view.
        self.share[region] *= np.exp(self.peak[region] - top)[..., None]
        self.share[region] += share * np.exp(peak - top)[..., None]
        self.peak[region] = top

    def interpolated(self, rows, columns):
        """(share, peak) between pixels, at the `Taps` of both axes."""
        share, peak = _between(self.share, self.peak, rows, axis=0)
        return _between(share, peak, columns, axis=1)

    def normalize(self):
        """The probabilities (h, w, K), made of `share` in place."""
        for row in self.share:
            row /= row.sum(axis=-1, keepdims=True)
        return self.share


def _between(share, peak, taps, axis):
    weight = taps.weight_along(axis, peak.dtype)[..., 0]  # (N, 1) or (N,)
    with np.errstate(divide="ignore"):  # log(0) = -inf: not read at all
        low_peak = peak.take(taps.low, axis) + np.log1p(-weight)
        high_peak = peak.take(taps.high, axis) + np.log(weight)
    top = np.maximum(low_peak, high_peak)
    result = share.take(taps.low, axis)
    result *= np.exp(low_peak - top)[..., None]
    upper = share.take(taps.high, axis)
    upper *= np.exp(high_peak - top)[..., None]
    result += upper
    return result, top
