"""Strict filling: every variable from one tensor, every tensor used, or nothing."""

import math

import keras
import numpy as np

from keras_danet.checkpoints.names import match_variables, their_shape, to_ours
from keras_danet.checkpoints.settings import infer

_LISTED = 30


def fill(model, tensors, naming):
    """Give every variable of a model the tensor that belongs to it.

    Everything is checked before the first variable changes.

    Args:
        model: `SegmentationModel`, or a ResNet with keras-hub's layer names.
        tensors: `Tensors`.
        naming: the `Naming` of their names.

    Raises:
        ValueError: a variable without a tensor, a tensor without a variable that is no
            known extra, a wrong shape or dtype, NaN, inf, or a negative variance.
    """
    _check_shortcuts(model)
    variables, nameless = match_variables(model, naming)
    _check_names(variables, nameless, tensors, naming)
    _check_shapes(variables, tensors, naming)
    for name, variable in variables.items():
        _check_values(name, _read(name, variable, tensors), tensors.origin)
    # The largest first, while least memory is in use.
    for name in sorted(variables, key=lambda name: -math.prod(tensors.shapes[name])):
        variable = variables[name]
        array = to_ours(_read(name, variable, tensors), variable.shape)
        # JAX takes a contiguous array as it is, and with it the caller's memory or the
        # mapped file, for the weight; a transposed one every backend copies.
        variable.assign(array.copy() if array.flags.c_contiguous else array)
        del array  # before the next one is read


def _check_shortcuts(model):
    backbone = getattr(model, "backbone", None) or model
    if any(
        isinstance(layer, keras.layers.AveragePooling2D) for layer in backbone.layers
    ):
        raise ValueError(
            "The model's backbone is a ResNet-D: its shortcuts pool, those of the "
            "published checkpoints do not, and the tensors would fit without notice. "
            "Build the model on a resnet_, resnet_v1c_ or resnet_v1s_ backbone. "
            f"Received: model={model.name!r}"
        )


def _check_names(variables, nameless, tensors, naming):
    missing = sorted(set(variables) - set(tensors.shapes)) + nameless
    unused = sorted(
        name
        for name in set(tensors.shapes) - set(variables)
        if not naming.is_extra(name)
    )
    if missing or unused:
        raise ValueError(
            f"{tensors.origin} does not fit the model. "
            + _likely_cause(variables, nameless, tensors, naming)
            + f"\nThe model needs, and the source lacks:{_list(missing)}"
            + f"\nThe source has, and the model lacks:{_list(unused)}"
        )


def _check_shapes(variables, tensors, naming):
    wrong = []
    for name, variable in variables.items():
        expected, received = their_shape(variable.shape), tensors.shapes[name]
        # The attention's gamma: a scalar here and in mmsegmentation, one of one value
        # in the official code.
        scalar = expected == () and received == (1,)
        if received != expected and not scalar:
            wrong.append(f"{name}: expected {expected}, received {received}")
    if wrong:
        raise ValueError(
            f"{tensors.origin} does not fit the model: its tensors have other shapes. "
            + _likely_cause(variables, [], tensors, naming)
            + _list(wrong)
        )


def _read(name, variable, tensors):
    array = tensors.read(name)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{tensors.origin}: weights are floating point numbers. Received: tensor "
            f"{name!r} of dtype {array.dtype}"
        )
    dtype = "float64" if variable.dtype == "float64" else "float32"
    with np.errstate(over="ignore"):  # an infinity is found below
        return array.astype(dtype, copy=False)


def _check_values(name, array, origin):
    if not np.isfinite(array).all():
        raise ValueError(
            f"{origin} is damaged, or its training diverged: tensor {name!r} holds NaN "
            "or infinite values."
        )
    if name.endswith("running_var") and (array < 0).any():
        raise ValueError(
            f"{origin} is damaged: the variance {name!r} holds negative values. "
            f"Received: minimum {array.min()}"
        )


def _likely_cause(variables, nameless, tensors, naming):
    if nameless and not naming.head:
        return "The source is a ResNet without a head: give `model.backbone` instead."
    if nameless:
        return f"The {naming.title} has no names for all variables of this model."
    shapes = {name: their_shape(variable.shape) for name, variable in variables.items()}
    try:
        ours = infer(shapes, naming)
    except ValueError as error:
        return f"The model is no {naming.title}: {error}."
    try:
        theirs = infer(tensors.shapes, naming)
    except ValueError as error:
        return f"The source is no {naming.title}, or damaged: {error}."
    differences = [
        f"`{key}` is {theirs[key]!r} in the source, {ours[key]!r} in the model"
        for key in theirs
        if theirs[key] != ours[key]
    ]
    if differences:
        return f"Likely cause: {'; '.join(differences)}."
    return (
        "Backbone and number of classes agree, so the source is likely damaged, or "
        f"of another version than the {naming.title} known here."
    )


def _list(names):
    if not names:
        return " nothing."
    lines = "".join(f"\n  {name}" for name in names[:_LISTED])
    rest = len(names) - _LISTED
    return lines + (f"\n  ... and {rest} more" if rest > 0 else "")
