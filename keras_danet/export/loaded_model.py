"""A written SavedModel, loaded again and compared with the Keras model."""

import numpy as np
import tensorflow as tf

from keras_danet.export.comparison import compare, scenes_for


def compare_saved_model(model, path):
    """Holds the answers of a SavedModel's signatures against the model's.

    Args:
        model: `keras.Model` of the TensorFlow backend.
        path: str or path of the SavedModel.

    Returns:
        A dict, see `comparison.compare`.

    Raises:
        ValueError: the logits or labels differ too much, or the signatures of arrays
            and of encoded images give different labels.
    """
    # In a variable, for what it holds dies with it.
    loaded = tf.saved_model.load(str(path))
    answer = loaded.signatures

    def logits(images):
        return answer["predict_logits"](images=tf.constant(images))["logits"].numpy()

    report = compare(model, logits, "The SavedModel")
    images = [np.uint8(batch[0]) for batch in scenes_for(model)]
    files = tf.stack([tf.io.encode_png(image) for image in images])
    pngs = answer["image_bytes"](image_bytes=files)["label_png"]
    for image, png in zip(images, pngs, strict=True):
        labels = answer["predict_images"](images=tf.constant(image[None]))["labels"][0]
        if not np.array_equal(tf.io.decode_png(png)[..., 0], labels):
            raise ValueError(
                "The SavedModel gives other labels for an encoded image than for its "
                "pixels. Nothing was written. "
                f"Received: an image of {image.shape[0]}x{image.shape[1]} pixels"
            )
    return report
