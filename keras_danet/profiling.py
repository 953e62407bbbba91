"""What a model costs at an image size: parameters, operations, attention memory."""

import math
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Row:
    """One layer: its name, class, output shape, parameters and operations."""

    name: str
    kind: str
    output_shape: tuple
    parameters: int
    operations: int


@dataclass(frozen=True)
class Profile:
    """A model's costs for one image; `print` it for a table.

    Attributes:
        rows: tuple of `Row`, in the order of computation.
        parameters: int, weights that training changes.
        operations: int, see `profile`.
        dense_attention_bytes: int, the N x N float32 scores of position attention.
        attention_bytes: int, the scores that the layer's `block_size` holds at a time.
    """

    rows: tuple
    parameters: int
    operations: int
    dense_attention_bytes: int
    attention_bytes: int

    def __str__(self):
        width = max(len(row.name) for row in self.rows)
        titles = f"{'output':>20}  {'parameters':>12}  {'M ops':>12}"
        lines = [f"{'layer':{width}}  {titles}"]
        lines += [
            f"{row.name:{width}}  {_shape(row.output_shape):>20}  "
            f"{row.parameters:>12,}  {row.operations / 1e6:>12,.2f}"
            for row in self.rows
            if row.parameters or row.operations
        ]
        lines.append(
            f"total: {self.parameters / 1e6:.2f} M parameters, "
            f"{self.operations / 1e9:.2f} G operations an image"
        )
        if self.dense_attention_bytes:
            lines.append(
                f"position attention scores: {self.dense_attention_bytes / 2**20:,.1f} "
                f"MiB dense, {self.attention_bytes / 2**20:,.1f} MiB as built"
            )
        return "\n".join(lines)


def profile(model, image_size, convention="multiply_accumulate"):
    """Counts parameters and operations of a functional model at one image size.

    All heads are counted, as in training; the classifiers beside the main one are a
    per mille of DANet and a tenth of DF-DAM.

    - "multiply_accumulate": convolutions, dense layers and matrix products of the
      attention, one operation per multiply-accumulate, nothing else.
    - "dfdam": as the paper of DF-DAM counts: also 1 per output element for a bias, 4
      per element of a batch normalization, `2 in - 1` per output of a dense layer, and
      each pooled element.

    Args:
        model: functional `keras.Model` with one image input (B, H, W, C); nested
            functional models are counted inside. It is copied, not changed.
        image_size: (H, W).
        convention: "multiply_accumulate" or "dfdam".

    Returns:
        A `Profile`.

    Raises:
        ValueError: another convention, or a model that is not functional.

    Example:

    >>> print(keras_danet.profile(keras_danet.DANet(19), (512, 512)))

    Reference: DF-DAM, Table 4 and Table 6 (10.31 and 35.52 GFLOPs at 640x320).
    """
    if convention not in ("multiply_accumulate", "dfdam"):
        raise ValueError(
            '`convention` must be "multiply_accumulate" or "dfdam". '
            f"Received: convention={convention!r}"
        )
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise ValueError(
            "`profile` follows the graph of a functional model with one image input. "
            f"Received: {model!r}"
        )
    calls = _calls(model, image_size)
    rows = tuple(
        Row(
            layer.name,
            type(layer).__name__,
            tuple(keras.tree.flatten(output)[0].shape),
            sum(math.prod(v.shape) for v in layer.trainable_variables),
            _operations(layer, shape, convention),
        )
        for layer, shape, output in calls
    )
    memory = [
        layer.score_bytes(shape)
        for layer, shape, _ in calls
        if hasattr(layer, "score_bytes")
    ]
    return Profile(
        rows,
        sum(row.parameters for row in rows),
        sum(row.operations for row in rows),
        sum(dense for dense, _ in memory),
        sum(blockwise for _, blockwise in memory),
    )


def _calls(model, image_size):
    """(layer copy, input shape or shapes, symbolic output) of every layer call."""
    calls = []

    def call(layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Layer):
            shapes = keras.tree.map_structure(lambda x: tuple(x.shape), args[0])
            calls.append((layer, shapes, output))
        return output

    _follow(model, (1, *image_size, model.inputs[0].shape[-1]), call)
    return calls


def _follow(model, shape, call):
    """A copy of the model for one input shape, made by `call` of copies of its layers.

    Nested models are followed too.
    """

    def enter(layer, *args, **kwargs):
        if isinstance(layer, keras.Model):
            return _follow(layer, args[0].shape, call)(args[0])
        return call(layer, *args, **kwargs)

    def copy(layer):
        if isinstance(layer, keras.Model):
            return layer
        return type(layer).from_config(layer.get_config())

    # Not the model itself: a subclass may call its graph in a way of its own.
    graph = keras.Model(model.inputs[0], model._outputs_struct)
    return keras.models.clone_model(
        graph,
        input_tensors=keras.Input(batch_shape=shape),
        clone_function=copy,
        call_function=enter,
    )


def _operations(layer, shape, convention):
    if hasattr(layer, "inner_operations"):
        rows = layer.inner_operations(shape)
        products = layer.product_count(shape) if hasattr(layer, "product_count") else 0
        return products + sum(_operations(*row, convention) for row in rows)
    papers = convention == "dfdam"
    if isinstance(layer, keras.layers.BatchNormalization):
        return 4 * math.prod(shape[1:]) if papers else 0
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return (shape[1] * shape[2] + 1) * shape[3] if papers else 0
    if isinstance(layer, keras.layers.Dense):
        inputs = shape[-1]
        return ((2 * inputs - 1) if papers else inputs) * layer.units
    if isinstance(layer, keras.layers.Conv2D):
        positions = math.prod(layer.compute_output_shape(shape)[1:3])
        bias = layer.filters if papers and layer.use_bias else 0
        return positions * (math.prod(layer.kernel.shape) + bias)
    return 0


def _shape(shape):
    return "x".join(str(size) for size in shape[1:])
