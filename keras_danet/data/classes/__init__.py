"""The classes of each data set: one aligned table, and the lookups it gives."""

import numpy as np

from keras_danet.data.classes.camvid import CAMVID
from keras_danet.data.classes.cityscapes import CITYSCAPES
from keras_danet.data.classes.coco_stuff import COCO_STUFF
from keras_danet.data.classes.pascal_context import PASCAL_CONTEXT, PASCAL_CONTEXT_60
from keras_danet.data.classes.pascal_voc import PASCAL_VOC
from keras_danet.data.classes.scenes import SCENES

CLASSES = {
    "scenes": SCENES,
    "camvid": CAMVID,
    "cityscapes": CITYSCAPES,
    "pascal_voc": PASCAL_VOC,
    "pascal_context": PASCAL_CONTEXT,
    "pascal_context_60": PASCAL_CONTEXT_60,
    "coco_stuff": COCO_STUFF,
}


def label_map(name):
    """{source id: class id or 255} of the data set `name`, for `read_label`."""
    return {row.source_id: row.train_id for row in _rows(name)}


def class_names(name):
    """Class names of the data set `name`, in the order of the class ids.

    >>> keras_danet.data.class_names("camvid")[:2]
    ['sky', 'building']
    """
    return [row.name for row in _trained(name)]


def class_colors(name):
    """Colors of the data set `name`: uint8 (K, 3), in the order of the class ids.

    >>> keras_danet.data.class_colors("camvid").shape
    (11, 3)
    """
    return np.array([row.color for row in _trained(name)], "uint8")


def _trained(name):
    rows = (row for row in _rows(name) if row.train_id != 255)
    return sorted(rows, key=lambda row: row.train_id)


def _rows(name):
    if name not in CLASSES:
        raise ValueError(
            f"There is no class table of this name. Expected one of {list(CLASSES)}. "
            f"Received: {name!r}"
        )
    return CLASSES[name]
