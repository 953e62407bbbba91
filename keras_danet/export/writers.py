"""The writer of each format. They run where Keras's backend is TensorFlow."""


def write(model, path, format, settings):
    """Writes `model` to `path`, loads it again and compares.

    Args:
        model: `keras.Model` of the TensorFlow backend.
        path: path of a file or new folder.
        format: "saved_model", "onnx", "openvino" or "litert".
        settings: dict, further arguments of the format's writer.

    Returns:
        A dict that JSON can hold: how far the artefact's answers are from the model's.

    Raises:
        ValueError: they are too far.
    """
    if format == "saved_model":
        from keras_danet.export.saved_model import write_saved_model as writer
    elif format == "onnx":
        from keras_danet.export.onnx_format import write_onnx as writer
    elif format == "openvino":
        from keras_danet.export.openvino_format import write_openvino as writer
    else:
        from keras_danet.export.litert_format import write_litert as writer
    return writer(model, path, **settings)
