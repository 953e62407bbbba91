"""The class tables."""

import numpy as np
import pytest

from keras_danet import data
from keras_danet.data.classes import label_map

NUM_CLASSES = {
    "scenes": 9,
    "camvid": 11,
    "cityscapes": 19,
    "pascal_voc": 21,
    "pascal_context": 59,
    "pascal_context_60": 60,
    "coco_stuff": 171,
}


@pytest.mark.parametrize("name", data.CLASSES)
def test_class_ids_are_dense_and_names_and_source_ids_unique(name):
    rows = data.CLASSES[name]
    trained = sorted({row.train_id for row in rows} - {255})
    assert trained == list(range(NUM_CLASSES[name]))
    names = data.class_names(name)
    assert len(set(names)) == len(names) == NUM_CLASSES[name]
    assert len({row.source_id for row in rows}) == len(rows)
    colors = data.class_colors(name)
    assert colors.shape == (NUM_CLASSES[name], 3) and colors.dtype == np.uint8
    assert len(np.unique(colors, axis=0)) == len(colors)


@pytest.mark.parametrize(
    "name, source, train, class_name, color",
    [
        ("camvid", 3, 3, "road", (128, 64, 128)),
        ("cityscapes", 7, 0, "road", (128, 64, 128)),
        ("cityscapes", 33, 18, "bicycle", (119, 11, 32)),
        ("pascal_voc", 15, 15, "person", (192, 128, 128)),
        ("pascal_context", 284, 36, "person", (128, 0, 192)),
        ("pascal_context_60", 284, 37, "person", (128, 0, 192)),
        ("coco_stuff", 182, 170, "wood", (0, 224, 192)),
    ],
)
def test_facts_of_the_data_sets(name, source, train, class_name, color):
    assert label_map(name)[source] == train
    assert data.class_names(name)[train] == class_name
    assert tuple(data.class_colors(name)[train].tolist()) == color


def test_void_ids():
    assert label_map("camvid")[11] == 255
    assert [i for i, t in label_map("cityscapes").items() if t == 255] == [
        *range(7),
        9,
        10,
        14,
        15,
        16,
        18,
        29,
        30,
    ]
    assert label_map("pascal_context")[0] == 255
    assert label_map("pascal_context_60")[0] == 0
    assert label_map("coco_stuff")[0] == 255 and 12 not in label_map("coco_stuff")


def test_an_unknown_name_lists_the_tables():
    with pytest.raises(ValueError, match="camvid.*Received: 'kitti'"):
        data.class_names("kitti")
