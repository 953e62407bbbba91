"""Cityscapes, fine annotations: labelIds become the 19 trainIds."""

from functools import partial

from keras_danet.data.classes import label_map
from keras_danet.data.labels import read_label
from keras_danet.data.sources.source import Source, find, partners

ADDRESS = "https://www.cityscapes-dataset.com/downloads (free registration)"
IMAGES, LABELS = "leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"


def _examples(roots, split):
    images = find(roots, [f"leftImg8bit/{split}"], IMAGES, ADDRESS)
    labels = find(roots, [f"gtFine/{split}"], LABELS, ADDRESS)
    pairs = []
    for image in sorted(images.glob("*/*_leftImg8bit.png")):
        name = image.name.replace("_leftImg8bit", "_gtFine_labelIds")
        pairs.append((image, labels / image.parent.name / name))
    return partners(pairs, f"{IMAGES} and {LABELS}", ADDRESS)


CITYSCAPES = Source(
    "Cityscapes",
    ("train", "val"),
    {IMAGES: ADDRESS, LABELS: ADDRESS},
    _examples,
    partial(read_label, label_map=label_map("cityscapes")),
)
