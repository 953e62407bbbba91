"""ONNX files, by tf2onnx."""

import contextlib
import logging

import numpy as np

from keras_danet.export.comparison import compare
from keras_danet.export.inference_graph import (
    attention_form,
    inference_copy,
    inference_function,
)
from keras_danet.export.packages import require

_OPSET = 18


def write_onnx(model, path):
    """Writes an ONNX file: `images` float32 (B, H, W, 3) -> `logits` (B, H, W, K).

    B, H and W stay free. The position attention keeps its blocks (a `Loop`), so that
    memory stays linear in the number of pixels; every weight is stored once.

    Args:
        model: functional `keras.Model` of the TensorFlow backend.
        path: of the file.

    Returns:
        A dict, see `comparison.compare`, and "attention": "blocks", "dense" or None.

    Raises:
        ImportError: onnx, tf2onnx or onnxruntime is not installed.
        ValueError: onnxruntime's answers differ from the model's.
    """
    onnx, *_ = require("onnx", "tf2onnx", "onnxruntime")
    copy = inference_copy(model)
    function, weights = inference_function(copy, large_weights_as_inputs=True)
    proto = _convert(function)
    _fill_in(proto.graph, weights)
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))
    report = compare(model, _session(path), "The ONNX file")
    return {**report, "attention": attention_form(copy)}


def _convert(function):
    import tf2onnx

    with _warnings_off("tf2onnx", "tensorflow"):
        proto, _ = tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=_OPSET
        )
    return proto


@contextlib.contextmanager
def _warnings_off(*names):
    """What these loggers warn of is their own: TensorFlow functions they deprecate."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _fill_in(graph, weights):
    """The weights in place of the inputs that stood for them.

    A kernel that only a `Transpose` reads is stored transposed.
    """
    from onnx import helper, numpy_helper

    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for name, value in weights.items():
        nodes = readers.get(name, [])
        if [node.op_type for node in nodes] == ["Transpose"]:
            (node,) = nodes
            axes = helper.get_attribute_value(node.attribute[0])
            name, value = node.output[0], np.ascontiguousarray(value.transpose(axes))
            graph.node.remove(node)
        graph.initializer.append(numpy_helper.from_array(value, name))
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)


def _session(path):
    """The file in onnxruntime, as a function of images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(["logits"], {"images": images})[0]
