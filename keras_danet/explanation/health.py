"""A callback that watches whether the attention modules learn."""

import keras
import numpy as np

from keras_danet.explanation.probe import AttentionProbe, gammas, position_scores
from keras_danet.images import as_numpy


class AttentionHealth(keras.callbacks.Callback):
    """Logs what the attention modules do, once per epoch, for history and logs.

    - `position_attention_gamma`, `channel_attention_gamma`: the learned scales, zero
      at the start. A gamma that stays near zero is a module that does nothing.
    - `position_attention_entropy`, `channel_attention_entropy`: mean entropy of the
      rows of the attention maps over its maximum, `-sum_j p_j log p_j / log N`. 1 is
      attention spread evenly over everything, 0 attention to a single place.
    - `dafm_saturation`, `pam2d_saturation`: share of the gates below 0.05 or above
      0.95, which hardly learn any more; `dafm_mean`, `pam2d_mean`: their mean.

    Put it before `keras.callbacks.CSVLogger` in the list, for it adds to the logs.

    Args:
        images: (B, H, W, 3) RGB in [0, 255], a few that stay the same over training.
        positions: int, how many positions of each image's map are looked at for the
            entropy of the position attention, evenly spread.

    Raises:
        ValueError: `images` are not such an array, or a model without attention.

    Example:

    >>> health = keras_danet.AttentionHealth(images[:4])
    >>> model.fit(batches, callbacks=[health, keras.callbacks.CSVLogger("log.csv")])
    """

    def __init__(self, images, positions=64):
        super().__init__()
        self.images = as_numpy(images)
        self.positions = positions
        if self.images.ndim != 4 or self.images.shape[-1] != 3:
            raise ValueError(
                "`images` must be (B, H, W, 3). "
                f"Received: images of shape {self.images.shape}"
            )

    def set_model(self, model):
        super().set_model(model)
        self._probe = AttentionProbe(model)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self.measure())

    def measure(self):
        """{name: float} of everything, for the model as it is now."""
        layers = self._probe.layers
        seen = self._probe(self.images)
        values = {f"{name}_gamma": gamma for name, gamma in gammas(layers).items()}
        for name, layer in layers.items():
            values |= self._read(name, layer, seen[name])
        return values

    def _read(self, name, layer, seen):
        if name == "position_attention":
            cells = _spread(*seen.shape[1:3], self.positions)
            maps = position_scores(layer, seen, cells)
            return {f"{name}_entropy": _entropy(maps.reshape(*maps.shape[:2], -1))}
        _, scores = seen
        if name == "channel_attention":
            return {f"{name}_entropy": _entropy(scores)}
        parts = scores if isinstance(scores, (tuple, list)) else [scores]
        gates = np.concatenate([part.ravel() for part in parts])
        saturated = (gates < 0.05) | (gates > 0.95)
        return {
            f"{name}_saturation": float(saturated.mean()),
            f"{name}_mean": float(gates.mean()),
        }


def _spread(height, width, count):
    """About `count` (row, column) cells on an even grid over the map."""
    rows = min(height, max(1, round((count * height / width) ** 0.5)))
    columns = min(width, max(1, count // rows))
    row = ((np.arange(rows) + 0.5) * height / rows).astype("int64")
    column = ((np.arange(columns) + 0.5) * width / columns).astype("int64")
    return np.stack(np.meshgrid(row, column, indexing="ij"), -1).reshape(-1, 2)


def _entropy(scores):
    """Mean entropy of rows over its maximum; 0 for rows of one entry."""
    scores = scores.astype("float64")
    if scores.shape[-1] == 1:
        return 0.0
    entropy = -(scores * np.log(np.maximum(scores, 1e-300))).sum(axis=-1)
    return float(entropy.mean() / np.log(scores.shape[-1]))
