"""What the attention layers of a model see: their inputs for given images."""

import keras
import numpy as np

LAYERS = ("position_attention", "channel_attention", "dafm", "pam2d")


class AttentionProbe:
    """Runs a model up to its attention layers, which are found by name.

    Args:
        model: a built functional model with at least one of the layers
            `position_attention`, `channel_attention`, `dafm` and `pam2d` in its own
            graph (not inside a model that is a layer of it).

    Attributes:
        layers: {name: layer} of those it has.

    Raises:
        ValueError: it has none of them, or is no functional model of one output.

    Example:

    >>> probe = AttentionProbe(keras_danet.DANet(19))
    >>> features = probe(images)["position_attention"]  # (B, h, w, C)
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
        outputs = {name: layer.input for name, layer in self.layers.items()}
        self._model = keras.Model(model.inputs[0], {**outputs, "logits": model.output})

    def __call__(self, images):
        """The inputs of each layer, by its name, and "logits": NumPy arrays.

        `dafm` and `pam2d` have a list of two.
        """
        images = np.asarray(images, "float32")
        return self._model.predict_on_batch(images)


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


def layer_scores(layer, inputs):
    """(output, scores) of an attention layer in NumPy, the scores all of them."""
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    result = layer(inputs, return_attention_scores=True)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, result)


def gammas(layers):
    """{name: float} of the learned scale of each layer that has one."""
    return {
        name: float(keras.ops.convert_to_numpy(layer.gamma))
        for name, layer in layers.items()
        if hasattr(layer, "gamma")
    }
