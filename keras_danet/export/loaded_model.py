"""A written SavedModel, loaded again and compared with the Keras model."""

import numpy as np
import tensorflow as tf

from keras_danet.export.answers import answers_of, check_logits, comparison_images

_TIE = 1e-3  # the gap of the two largest logits below which either label is right
_MAX_DIFFERING = 1e-3  # of the pixels, ties left out


def differences(model, path):
    """How far the SavedModel's answers are from the model's, on two images.

    Args:
        model: `keras.Model` of the TensorFlow backend.
        path: str or path of the SavedModel.

    Returns:
        A dict: "logits", the largest absolute difference; "labels", the share of the
        pixels whose label differs, ties left out; "ties", their share; "image_sizes".

    Raises:
        ValueError: the logits are too far away, see `check_logits`, or the labels of
            more than 0.1 % of the pixels differ.
    """
    images, expected = comparison_images(), answers_of(model)
    # In a variable, for what it holds dies with it.
    loaded = tf.saved_model.load(str(path))
    found = [
        loaded.signatures["predict_logits"](
            images=tf.constant(image[None], tf.float32)
        )["logits"][0].numpy()
        for image in images
    ]
    logits_off = check_logits(expected, found, model, "The SavedModel")
    pngs = tf.stack([tf.io.encode_png(image) for image in images])
    answers = loaded.signatures["image_bytes"](image_bytes=pngs)["label_png"]
    labels = [tf.io.decode_png(png)[..., 0].numpy() for png in answers]
    labels_off, ties = _check_labels(expected, labels)
    return {
        "logits": logits_off,
        "labels": labels_off,
        "ties": ties,
        "image_sizes": [list(image.shape[:2]) for image in images],
    }


def _check_labels(expected, found):
    """(share of pixels whose label differs without being a tie, share of ties)."""
    differing = ties = total = 0
    for logits, labels in zip(expected, found, strict=True):
        second, first = np.sort(logits, axis=-1)[..., -2:].transpose(2, 0, 1)
        tie = first - second < _TIE
        differing += int(((logits.argmax(-1) != labels) & ~tie).sum())
        ties += int(tie.sum())
        total += labels.size
    if differing > _MAX_DIFFERING * total:
        raise ValueError(
            "The SavedModel gives other labels than the model, in more than 0.1 % of "
            "the pixels. Nothing was written. "
            f"Received: {differing} of {total} pixels"
        )
    return differing / total, ties / total
