"""PASCAL VOC 2012 with the extra annotations of SBD."""

from keras_danet.data.classes import label_map
from keras_danet.data.labels import map_values, read_label
from keras_danet.data.sources.mat import read_mat
from keras_danet.data.sources.source import Source, find, names_in, partners

VOC = "VOCtrainval_11-May-2012.tar"
VOC_ADDRESS = f"http://host.robots.ox.ac.uk/pascal/VOC/voc2012/{VOC}"
SBD = "benchmark.tgz"
SBD_ADDRESS = (
    "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
    f"semantic_contours/{SBD}"
)


def _examples(roots, split):
    devkit = ["VOCdevkit/VOC2012", "VOC2012"]
    voc = find(roots, devkit + ["JPEGImages"], VOC, VOC_ADDRESS)
    voc = voc.parent if voc.name == "JPEGImages" else voc
    lists = voc / "ImageSets" / "Segmentation"
    voc_split = "train" if split == "train_aug" else split
    names = names_in(find([lists], [f"{voc_split}.txt"], VOC, VOC_ADDRESS))
    labels = {name: voc / "SegmentationClass" / f"{name}.png" for name in names}
    archives = VOC
    if split == "train_aug":
        labels = {**_extra(roots, lists), **labels}
        archives = f"{VOC} and {SBD}"
    pairs = [(voc / "JPEGImages" / f"{n}.jpg", labels[n]) for n in sorted(labels)]
    return partners(pairs, archives, f"{VOC_ADDRESS} and {SBD_ADDRESS}")


def _extra(roots, lists):
    """SBD's labels of all pictures outside the validation set of VOC."""
    sbd = find(roots, ["benchmark_RELEASE/dataset", "dataset"], SBD, SBD_ADDRESS)
    names = set()
    for part in ("train.txt", "val.txt"):
        names.update(names_in(find([sbd], [part], SBD, SBD_ADDRESS)))
    names -= set(names_in(find([lists], ["val.txt"], VOC, VOC_ADDRESS)))
    return {name: sbd / "cls" / f"{name}.mat" for name in names}


def _read_label(path):
    ids = label_map("pascal_voc")
    if str(path).endswith(".mat"):
        (truth,) = read_mat(path, "GTcls")
        return map_values(truth.Segmentation, ids, path)
    return read_label(path, ids)


PASCAL_VOC = Source(
    "PASCAL VOC 2012 with SBD",
    ("train_aug", "train", "val", "trainval"),
    {VOC: VOC_ADDRESS, SBD: SBD_ADDRESS},
    _examples,
    _read_label,
)
