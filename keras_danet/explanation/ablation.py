"""What each attention module is worth: scores with it switched off."""

import contextlib
import itertools

import numpy as np

from keras_danet.evaluation import evaluate
from keras_danet.explanation.probe import LAYERS

# A logit whose sigmoid is 1 in every float type.
_OPEN = 50.0


def ablate(model, dataset, *, verbose=1, **settings):
    """Evaluates a trained model with its attention modules switched off in turn.

    The model is not retrained: this tells what the modules do in it, not what a model
    trained without them would reach (the papers' tables retrain). PAM and CAM are
    switched off by `gamma = 0`, DAFM by weights of 1 for all channels, 2DPAM by a
    confidence of 1 everywhere. The model's weights are as before afterwards.

    Args:
        model: a `DANet` or `DFDAM`, or any model with layers of these kinds and names:
            `position_attention`, `channel_attention`, `dafm`, `pam2d`.
        dataset: as in `evaluate`; it is read once for each row.
        verbose: 1 for progress and the table in print, 0 for neither.
        **settings: those of `evaluate`, such as `scales`.

    Returns:
        Dict of what is off -> `Evaluation`: "none", each layer's name, and
        "position_attention + channel_attention" (or "dafm + pam2d").

    Raises:
        ValueError: a model without attention modules, a data set that can be read only
            once, or as in `evaluate`.

    Example:

    >>> scores = keras_danet.ablate(model, test)
    >>> scores["none"].mean_iou - scores["position_attention"].mean_iou

    Reference: DANet, table 1; DF-DAM, tables 1 and 2 (both with retraining).
    """
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    names = [name for name in LAYERS if name in layers]
    if not names:
        raise ValueError(
            "The model has no attention module to switch off. Expected a layer of the "
            f"names {', '.join(LAYERS)}. Received: {model!r}"
        )
    if iter(dataset) is dataset:
        raise ValueError(
            "The data set is read several times, but this one is used up after the "
            "first. Pass a `tf.data.Dataset` or a list. "
            f"Received: {type(dataset).__name__}"
        )
    results = {}
    for count in range(len(names) + 1):
        for off in itertools.combinations(names, count):
            with _switched_off([layers[name] for name in off]):
                result = evaluate(model, dataset, verbose=0, **settings)
            results[" + ".join(off) or "none"] = result
            if verbose:
                print(f"mIoU {result.mean_iou:.4f}  off: {' + '.join(off) or 'none'}")
    return results


@contextlib.contextmanager
def _switched_off(layers):
    variables = [pair for layer in layers for pair in _neutral(layer)]
    before = [(variable, np.array(variable)) for variable, _ in variables]
    try:
        for variable, value in variables:
            variable.assign(np.full(variable.shape, value, "float32"))
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _neutral(layer):
    """(variable, the value at which the layer does nothing)."""
    if hasattr(layer, "gamma"):
        return [(layer.gamma, 0.0)]
    if layer.name == "dafm":
        gates = (layer.low_gate, layer.high_gate)
    else:
        gates = (layer.conv3,)
    return [pair for gate in gates for pair in ((gate.kernel, 0.0), (gate.bias, _OPEN))]
