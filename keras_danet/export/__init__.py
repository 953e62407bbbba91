"""Exports: a SavedModel for TensorFlow Serving, ONNX, OpenVINO and LiteRT files."""

from keras_danet.export.exporter import export_model

__all__ = ["export_model"]
