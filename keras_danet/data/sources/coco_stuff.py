"""COCO-Stuff 10k, version 1.1."""

from keras_danet.data.classes import label_map
from keras_danet.data.labels import map_values
from keras_danet.data.sources.mat import read_mat
from keras_danet.data.sources.source import Source, find, names_in, partners

ARCHIVE = "cocostuff-10k-v1.1.zip"
ADDRESS = (
    f"http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/{ARCHIVE}"
)
OLD_NAMES = 172  # version 1.0 counts "unlabeled" as its first class


def _examples(roots, split):
    listed = find(roots, [f"imageLists/{split}.txt"], ARCHIVE, ADDRESS)
    images = find(roots, ["images"], ARCHIVE, ADDRESS)
    labels = find(roots, ["annotations"], ARCHIVE, ADDRESS)
    pairs = [(images / f"{n}.jpg", labels / f"{n}.mat") for n in names_in(listed)]
    return partners(pairs, ARCHIVE, ADDRESS)


def _read_label(path):
    names, values = read_mat(path, "names", "S")
    if len(names) == OLD_NAMES:
        raise ValueError(
            f"{path} is of COCO-Stuff 10k version 1.0, whose ids differ. "
            f"Get {ARCHIVE} from {ADDRESS}."
        )
    return map_values(values.astype("int64"), label_map("coco_stuff"), path)


COCO_STUFF = Source(
    "COCO-Stuff 10k", ("train", "test"), {ARCHIVE: ADDRESS}, _examples, _read_label
)
