"""The requests that TensorFlow Serving answers to itself before it says it is ready."""

from pathlib import Path

import tensorflow as tf

_SIZE = 256


def write_warmup_requests(path, model_name):
    """Writes `assets.extra/tf_serving_warmup_requests` of a SavedModel.

    One request for each signature: a gray image of 256x256. The records are
    `tensorflow.serving.PredictionLog`; what of it is needed, four nested fields, is
    written here, for the package that holds its definition binds one version of
    TensorFlow.

    Args:
        path: str or path of the SavedModel.
        model_name: str.
    """
    image = (1, _SIZE, _SIZE, 3)
    jpeg = tf.io.encode_jpeg(tf.fill(image[1:], tf.constant(128, tf.uint8)))
    requests = {
        "image_bytes": ("image_bytes", [jpeg.numpy()], (1,), tf.string),
        "image_bytes_rest": ("image_bytes", [jpeg.numpy()], (1,), tf.string),
        "predict_images": ("images", 128, image, tf.uint8),
        "predict_logits": ("images", 128, image, tf.float32),
    }
    target = Path(path, "assets.extra", "tf_serving_warmup_requests")
    target.parent.mkdir()
    with tf.io.TFRecordWriter(str(target)) as records:
        for signature, (name, value, shape, dtype) in requests.items():
            tensor = tf.make_tensor_proto(value, dtype, shape).SerializeToString()
            records.write(_prediction_log(model_name, signature, name, tensor))


def _prediction_log(model_name, signature, input_name, tensor):
    # Field numbers of tensorflow_serving/apis/{model,predict,prediction_log}.proto.
    model_spec = _field(1, model_name.encode()) + _field(3, signature.encode())
    entry = _field(1, input_name.encode()) + _field(2, tensor)
    request = _field(1, model_spec) + _field(2, entry)
    return _field(6, _field(1, request))


def _field(number, content):
    """A protocol buffer's field of bytes: its number and wire type, length, content."""
    return _variable_length(number << 3 | 2) + _variable_length(len(content)) + content


def _variable_length(value):
    low = b""
    while value >= 128:
        low += bytes([value % 128 + 128])
        value //= 128
    return low + bytes([value])
