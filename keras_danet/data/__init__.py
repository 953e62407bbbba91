"""Data: published sets, your folders, synthetic scenes, batches and the doctor.

Everything here stands on `tf.data` and is imported when it is first used, so that
`import keras_danet` needs no TensorFlow on JAX and PyTorch.
"""

import importlib

from keras_danet.data.classes import CLASSES, class_colors, class_names

_HOMES = {
    "from_folder": "folders",
    "camvid": "published",
    "cityscapes": "published",
    "pascal_voc": "published",
    "pascal_context": "published",
    "coco_stuff": "published",
    "class_weights": "frequencies",
    "check": "doctor",
    "scenes": "synthetic",
    "prepare": "pipeline",
}

__all__ = ["CLASSES", "class_colors", "class_names", *_HOMES]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ModuleNotFoundError(
            f"keras_danet.data.{name} stands on tf.data, whatever the Keras backend. "
            "Run `pip install tensorflow`.",
            name="tensorflow",
        ) from error
    return getattr(home, name)


def __dir__():
    return __all__
