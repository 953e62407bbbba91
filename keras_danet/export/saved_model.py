"""The SavedModel: signatures for encoded images, for arrays and for logits."""

import tensorflow as tf

from keras_danet.export.image_bytes import decode, refuse_bad_images
from keras_danet.export.loaded_model import compare_saved_model
from keras_danet.export.warmup import write_warmup_requests


def write_saved_model(model, path, default_signature="image_bytes", max_pixels=2**22):
    """Writes a Keras model of the TensorFlow backend as a SavedModel.

    Signatures, one of them also under `serving_default`:

    - `image_bytes`: `image_bytes` string (B,) of JPEG, PNG, GIF or BMP, of different
      sizes -> `label_png` string (B,), 8-bit class ids at each image's own size, and
      `class_fraction` float32 (B, K), the share of the pixels of each class. The
      images are segmented one after another.
    - `image_bytes_rest`: the same, the PNG as `label_png_bytes`: a name ending in
      `_bytes` makes TensorFlow Serving's REST interface write base64 instead of raw
      bytes inside JSON.
    - `predict_images`: `images` uint8 (B, H, W, 3) -> `labels` uint8 (B, H, W) and
      `confidence` float32 (B, H, W), the probability of the label.
    - `predict_logits`: `images` float32 (B, H, W, 3) -> `logits` float32
      (B, H, W, K).

    The network's graph and its weights are stored once, and only what the main head
    needs. What was written is loaded again and compared with the model.

    Args:
        model: `keras.Model` from images (B, H, W, 3) to logits (B, H, W, K).
        path: str or path of a new folder.
        default_signature: "image_bytes", "predict_images" or "predict_logits".
        max_pixels: int, pixels of an encoded image that are decoded at most.

    Returns:
        A dict, see `comparison.compare`.

    Raises:
        ValueError: what was written gives other answers than the model.
    """
    network = tf.function(
        lambda images: tf.cast(model(images, training=False), tf.float32),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)],
        autograph=False,
    )
    functions = {
        **_bytes_functions(network, model.output_shape[-1], max_pixels),
        **_array_functions(network),
    }
    tf.saved_model.save(
        _holder(network, model),
        str(path),
        signatures={"serving_default": functions[default_signature], **functions},
    )
    write_warmup_requests(path, model.name)
    return compare_saved_model(model, path)


def _holder(network, model):
    """A module that keeps the weights that the network reads, each once."""
    captured = {
        id(tensor) for tensor in network.get_concrete_function().captured_inputs
    }
    holder = tf.Module()
    values = [variable.value for variable in model.variables]
    holder.weights = [value for value in values if id(value.handle) in captured]
    return holder


def _array_functions(network):
    def predict_images(images):
        logits = network(tf.cast(images, tf.float32))  # (B, H, W, K)
        confidence = tf.reduce_max(tf.nn.softmax(logits), axis=-1)
        return {"labels": _labels(logits), "confidence": confidence}

    def predict_logits(images):
        return {"logits": network(images)}

    shape = (None, None, None, 3)
    return {
        "predict_images": _signature(predict_images, images=(shape, tf.uint8)),
        "predict_logits": _signature(predict_logits, images=(shape, tf.float32)),
    }


def _bytes_functions(network, num_classes, max_pixels):
    def segment(contents):
        labels = _labels(network(decode(contents)[None]))[0]  # (H, W)
        pixels = tf.math.bincount(
            tf.reshape(tf.cast(labels, tf.int32), [-1]),
            minlength=num_classes,
            maxlength=num_classes,
        )
        fractions = tf.cast(pixels / tf.size(labels), tf.float32)  # (K,)
        return tf.io.encode_png(labels[..., None]), fractions

    def segment_all(contents):
        return tf.map_fn(
            segment,
            refuse_bad_images(contents, max_pixels),
            fn_output_signature=(
                tf.TensorSpec((), tf.string),
                tf.TensorSpec((num_classes,), tf.float32),
            ),
            parallel_iterations=1,  # the memory of one image
        )

    # One graph under both names.
    segment_all = tf.function(
        segment_all,
        input_signature=[tf.TensorSpec((None,), tf.string)],
        autograph=False,
    )

    def named(png):
        def function(image_bytes):
            labels, fractions = segment_all(image_bytes)
            return {png: labels, "class_fraction": fractions}

        return _signature(function, image_bytes=((None,), tf.string))

    return {
        "image_bytes": named("label_png"),
        "image_bytes_rest": named("label_png_bytes"),
    }


def _signature(function, **inputs):
    specs = {
        name: tf.TensorSpec(shape, dtype, name)
        for name, (shape, dtype) in inputs.items()
    }
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _labels(logits):
    return tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.uint8)
