"""What the attention layers of a model see: their inputs for given images."""

import keras
import numpy as np

LAYERS = ("position_attention", "channel_attention", "dafm", "pam2d")


class AttentionProbe:
    """Runs a model and shows what its attention layers see, which are found by name.

    Args:
        model: a built functional model with at least one of the layers
            `position_attention`, `channel_attention`, `dafm` and `pam2d` in its own
            graph (not inside a model that is a layer of it).

    Attributes:
        layers: {name: layer} of those it has.

    Raises:
        ValueError: it has none of them.

    Example:

    >>> probe = AttentionProbe(keras_danet.DANet(19))
    >>> output, scores = probe(images)["channel_attention"]
    """

    def __init__(self, model):
        found = {layer.name: layer for layer in getattr(model, "layers", ())}
        self.layers = {name: found[name] for name in LAYERS if name in found}
        if not self.layers:
            raise ValueError(
                "The model has no attention layer. Expected one of the names "
                f"{', '.join(LAYERS)} among `model.layers`, as in `DANet` and `DFDAM`. "
                f"Received: {model!r}"
            )
        self._reader = _Reader(model, self.layers)

    def __call__(self, images):
        """What is seen, in NumPy.

        Args:
            images: (B, H, W, 3).

        Returns:
            Dict: "logits", and for each layer its output and scores, as it gives them
            with `return_attention_scores=True`; for "position_attention", whose scores
            may not fit into memory, its input (B, h, w, C).
        """
        return self._reader.predict_on_batch(np.asarray(images, "float32"))


class _Reader(keras.Model):
    """Up to the attention layers, and through them, in one compiled function."""

    def __init__(self, model, layers):
        super().__init__(name="attention_reader")
        inputs = {name: layer.input for name, layer in layers.items()}
        self.to_layers = keras.Model(
            model.inputs[0], {**inputs, "logits": model.output}
        )
        self.attention = dict(layers)

    def call(self, images):
        seen = dict(self.to_layers(images, training=False))
        for name, layer in self.attention.items():
            if name != "position_attention":
                seen[name] = layer(seen[name], return_attention_scores=True)
        return seen


def position_scores(layer, features, positions):
    """Rows of the position attention map: (B, P, h, w), each summing to one.

    Only these rows are computed, so that a large map needs no (N, N) memory.

    Args:
        layer: the PAM.
        features: its input (B, h, w, C).
        positions: P (row, column) pairs on the feature map.
    """
    features = keras.ops.convert_to_tensor(features)
    scores = layer.attention_scores(features, positions)  # (B, P, N)
    scores = keras.ops.convert_to_numpy(scores)
    return scores.reshape(*scores.shape[:2], *features.shape[1:3])


def scores_of_points(layer, features, size, points):
    """Where pixels of one image gather from: (P, h, w), each map summing to one.

    Args:
        layer: the PAM.
        features: its input (1, h, w, C).
        size: (H, W) of the image.
        points: P (row, column) pairs of pixels.
    """
    scale = np.array(features.shape[1:3]) / size
    # The cell a pixel's center lies in.
    cells = ((np.array(points) + 0.5) * scale).astype("int64")
    return position_scores(layer, features, cells)[0]


def gammas(layers):
    """{name: float} of the learned scale of each layer that has one."""
    return {
        name: float(keras.ops.convert_to_numpy(layer.gamma))
        for name, layer in layers.items()
        if hasattr(layer, "gamma")
    }
