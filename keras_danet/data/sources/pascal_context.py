"""PASCAL-Context: VOC 2010 pictures with every pixel labelled."""

from functools import partial

import numpy as np

from keras_danet.data.classes import label_map
from keras_danet.data.sources.mat import read_mat
from keras_danet.data.sources.source import Source, find, names_in, partners

VOC = "VOCtrainval_03-May-2010.tar"
VOC_ADDRESS = f"http://host.robots.ox.ac.uk/pascal/VOC/voc2010/{VOC}"
CONTEXT = "trainval.tar.gz"
CONTEXT_ADDRESS = f"https://cs.stanford.edu/~roozbeh/pascal-context/{CONTEXT}"
NUM_LABELS = 459


def _examples(roots, split):
    devkit = ["VOCdevkit/VOC2010", "VOC2010"]
    voc = find(roots, devkit + ["JPEGImages"], VOC, VOC_ADDRESS)
    voc = voc.parent if voc.name == "JPEGImages" else voc
    labels = find(roots, ["trainval"], CONTEXT, CONTEXT_ADDRESS)
    listed = find([voc], [f"ImageSets/Main/{split}.txt"], VOC, VOC_ADDRESS)
    pairs = [
        (voc / "JPEGImages" / f"{name}.jpg", labels / f"{name}.mat")
        for name in names_in(listed)
    ]
    return partners(
        pairs, f"{VOC} and {CONTEXT}", f"{VOC_ADDRESS} and {CONTEXT_ADDRESS}"
    )


def _read_label(path, table):
    """Labels outside the table count as its background."""
    known = label_map(table)
    ids = np.full(NUM_LABELS + 1, known[0], "uint8")
    ids[list(known)] = list(known.values())
    (values,) = read_mat(path, "LabelMap")
    if values.max() > NUM_LABELS:
        raise ValueError(
            f"Label {path} holds ids above {NUM_LABELS}, the last of PASCAL-Context. "
            f"Unpack {CONTEXT} from {CONTEXT_ADDRESS}. Received: {values.max()}"
        )
    return ids[values]


def _source(table):
    return Source(
        "PASCAL-Context",
        ("train", "val"),
        {VOC: VOC_ADDRESS, CONTEXT: CONTEXT_ADDRESS},
        _examples,
        partial(_read_label, table=table),
    )


PASCAL_CONTEXT = _source("pascal_context")
PASCAL_CONTEXT_60 = _source("pascal_context_60")
