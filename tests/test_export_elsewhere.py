"""Exports from JAX and PyTorch, which a second process does in TensorFlow."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

import keras_danet
from tests.cases import images_and_labels
from tests.hostile import encoded
from tests.toy import tiny_danet

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="this process does it itself"
)


def test_a_model_with_attention_gives_its_own_answers(tmp_path):
    model = tiny_danet()
    path = tmp_path / "street" / "1"
    report = keras_danet.export_model(model, path)
    assert report["backend_logit_difference"] < 1e-4

    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    image = images_and_labels(1, 40, 144)[0]  # a size that JAX has compiled already
    logits = model.predict_on_batch(image.astype("float32"))[0]
    answer = loaded.signatures["image_bytes"](tf.constant([encoded(image[0], "PNG")]))
    labels = np.asarray(Image.open(io.BytesIO(answer["label_png"][0].numpy())))
    second, first = np.moveaxis(np.sort(logits, axis=-1)[..., -2:], -1, 0)
    assert ((labels == logits.argmax(-1)) | (first - second < 1e-3)).all()


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="once is enough")
def test_the_second_process_tells_why_it_failed(tmp_path):
    class Unknown(keras.layers.Layer):
        def call(self, inputs):
            return inputs[..., :2]

    image = keras.Input((None, None, 3))
    model = keras.Model(image, Unknown()(image))
    with pytest.raises(RuntimeError, match="(?s)second process.*Unknown"):
        keras_danet.export_model(model, tmp_path / "1")
    assert not any(tmp_path.iterdir())
