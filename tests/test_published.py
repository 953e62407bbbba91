"""The published data sets on tiny trees in their official layouts."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_danet import data
from tests.shared import SHARED, needs_shared

savemat = pytest.importorskip("scipy.io").savemat
RNG = np.random.default_rng(0)
SIZE = (10, 14)


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = RNG.integers(0, 256, (*SIZE, 3), dtype="uint8")
    Image.fromarray(image).save(path)
    with Image.open(path) as picture:
        return np.array(picture)


def write_label(path, values, **options):
    """A label file of random `values`; the values it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = RNG.choice(values, SIZE)
    label.ravel()[: len(values)] = values
    if path.suffix == ".png":
        picture = Image.fromarray(label.astype("uint8"))
        if options.get("palette"):
            picture.putpalette(RNG.integers(0, 256, 768).tolist())
        picture.save(path)
    else:
        savemat(path, options["content"](label))
    return label


def write_list(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def cityscapes(root, split="train"):
    expected = []
    for city, count in (("aachen", 2), ("bochum", 1)):
        for frame in range(count):
            name = f"{city}_00000{frame}_000019"
            image = write_image(
                root / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png"
            )
            folder = root / f"gtFine/{split}/{city}"
            ids = write_label(folder / f"{name}_gtFine_labelIds.png", [0, 3, 7, 11, 33])
            (folder / f"{name}_gtFine_polygons.json").write_text("{}")
            table = {0: 255, 3: 255, 7: 0, 11: 2, 33: 18}
            expected.append((image, np.vectorize(table.get)(ids)))
    return expected


def pascal_voc(root):
    """VOC: train a, b; val c. SBD: train a, d; val c, e. So train_aug is a b d e."""
    voc, sbd = root / "VOCdevkit/VOC2012", root / "benchmark_RELEASE/dataset"
    lists = voc / "ImageSets/Segmentation"
    for split, names in (("train", "ab"), ("val", "c"), ("trainval", "abc")):
        write_list(lists / f"{split}.txt", names)
    write_list(sbd / "train.txt", "ad")
    write_list(sbd / "val.txt", "ce")
    images = {name: write_image(voc / f"JPEGImages/{name}.jpg") for name in "abcde"}
    own = {
        name: write_label(
            voc / f"SegmentationClass/{name}.png", [0, 7, 20, 255], palette=1
        )
        for name in "abc"
    }
    extra = {
        name: write_label(
            sbd / f"cls/{name}.mat",
            [0, 1, 19],
            content=lambda label: {
                "GTcls": {"Segmentation": label.astype("uint8"), "Boundaries": [0]}
            },
        )
        for name in "acde"
    }
    labels = {**extra, **own}
    return {
        split: [(images[name], labels[name]) for name in names]
        for split, names in (("train_aug", "abde"), ("train", "ab"), ("val", "c"))
    }


def pascal_context(root, background=False):
    voc = root / "VOCdevkit/VOC2010"
    write_list(voc / "ImageSets/Main/train.txt", ["2008_1  1", "2008_2 -1"])
    write_list(voc / "ImageSets/Main/val.txt", ["2008_3"])
    expected = []
    for name in ("2008_1", "2008_2", "2008_3"):
        image = write_image(voc / f"JPEGImages/{name}.jpg")
        label = write_label(
            root / f"trainval/{name}.mat",
            [0, 1, 2, 284, 458, 459],
            content=lambda label: {"LabelMap": label.astype("uint16")},
        )
        void = 0 if background else 255
        table = {0: void, 1: void, 459: void, 2: 0, 284: 36, 458: 58}
        shift = int(background)
        table = {k: v if k in (0, 1, 459) else v + shift for k, v in table.items()}
        expected.append((image, np.vectorize(table.get)(label)))
    return expected


def coco_stuff(root, names=182):
    write_list(root / "imageLists/train.txt", ["COCO_train2014_1", "COCO_train2014_2"])
    write_list(root / "imageLists/test.txt", ["COCO_train2014_3"])
    expected = []
    for index in (1, 2, 3):
        name = f"COCO_train2014_{index}"
        image = write_image(root / f"images/{name}.jpg")
        label = write_label(
            root / f"annotations/{name}.mat",
            [0, 1, 13, 92, 182],
            content=lambda label: {
                "S": label.astype("float64"),
                "names": np.array(["class"] * names, object),
                "captions": np.array(["a", "b"], object),
            },
        )
        table = {0: 255, 1: 0, 13: 11, 92: 80, 182: 170}
        expected.append((image, np.vectorize(table.get)(label)))
    return expected


def assert_equals(dataset, expected, *, exact=True):
    examples = list(dataset)
    assert len(examples) == len(expected)
    for (image, label), (wanted_image, wanted_label) in zip(
        examples, expected, strict=True
    ):
        assert image.dtype == label.dtype == tf.uint8
        if exact:
            np.testing.assert_array_equal(image, wanted_image)
        np.testing.assert_array_equal(label, wanted_label)


def test_cityscapes(tmp_path):
    expected = cityscapes(tmp_path)
    dataset = data.cityscapes(tmp_path)
    assert_equals(dataset, expected)
    expected = cityscapes(tmp_path, "val")
    assert_equals(data.cityscapes(tmp_path, "val"), expected)
    images, labels = next(iter(data.prepare(dataset, 2, 8, training=True)))
    assert images.shape == (2, 8, 8, 3) and labels.shape == (2, 8, 8)


def test_pascal_voc_and_sbd(tmp_path):
    expected = pascal_voc(tmp_path)
    assert_equals(data.pascal_voc(tmp_path), expected["train_aug"])
    assert_equals(data.pascal_voc(tmp_path, "train"), expected["train"])
    assert_equals(data.pascal_voc(tmp_path, "val"), expected["val"])
    assert len(data.pascal_voc(tmp_path, "trainval")) == 3
    inside = tmp_path / "VOCdevkit/VOC2012"
    assert_equals(data.pascal_voc(inside, "val"), expected["val"])


@pytest.mark.parametrize("background", [False, True])
def test_pascal_context(tmp_path, background):
    expected = pascal_context(tmp_path, background)
    train = data.pascal_context(tmp_path, background=background)
    assert_equals(train, expected[:2])
    val = data.pascal_context(tmp_path, "val", background=background)
    assert_equals(val, expected[2:])


def test_coco_stuff(tmp_path):
    expected = coco_stuff(tmp_path)
    assert_equals(data.coco_stuff(tmp_path), expected[:2])
    assert_equals(data.coco_stuff(tmp_path, "test"), expected[2:])


def test_coco_stuff_of_the_old_version_is_refused(tmp_path):
    coco_stuff(tmp_path, names=172)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"_1\.mat is of.*v1\.1"):
        list(data.coco_stuff(tmp_path))


WRONG_TREES = {
    "no images": (
        data.cityscapes,
        cityscapes,
        "leftImg8bit",
        "leftImg8bit_trainvaltest",
    ),
    "no labels": (data.cityscapes, cityscapes, "gtFine", "gtFine_trainvaltest.zip"),
    "one label": (
        data.cityscapes,
        cityscapes,
        "gtFine/train/bochum/bochum_000000_000019_gtFine_labelIds.png",
        r"bochum_000000_000019_gtFine_labelIds\.png is missing\. Unpack",
    ),
    "no VOC": (data.pascal_voc, pascal_voc, "VOCdevkit", "VOCtrainval_11-May-2012.tar"),
    "no SBD": (data.pascal_voc, pascal_voc, "benchmark_RELEASE", "benchmark.tgz"),
    "no list": (
        data.pascal_voc,
        pascal_voc,
        "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt",
        r"val\.txt is missing",
    ),
    "no SBD file": (
        data.pascal_voc,
        pascal_voc,
        "benchmark_RELEASE/dataset/cls/d.mat",
        r"d\.mat is missing\. Unpack",
    ),
    "no VOC 2010": (
        data.pascal_context,
        pascal_context,
        "VOCdevkit",
        "VOCtrainval_03-May-2010.tar",
    ),
    "no context": (
        data.pascal_context,
        pascal_context,
        "trainval",
        "roozbeh/pascal-context/trainval.tar.gz",
    ),
    "no annotations": (
        data.coco_stuff,
        coco_stuff,
        "annotations",
        "cocostuff-10k-v1.1.zip",
    ),
    "two pictures": (
        data.coco_stuff,
        coco_stuff,
        "images",
        "images is missing",
    ),
}


@pytest.mark.parametrize("case", WRONG_TREES)
def test_a_wrong_tree_says_what_is_missing_and_where_to_get_it(tmp_path, case):
    read, write, remove, message = WRONG_TREES[case]
    write(tmp_path)
    path = tmp_path / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_unknown_splits_and_folders(tmp_path):
    with pytest.raises(ValueError, match="train_aug, train, val.*'training'"):
        data.pascal_voc(tmp_path, "training")
    with pytest.raises(ValueError, match="no folder"):
        data.cityscapes(tmp_path / "nowhere")


def test_a_damaged_label_is_named(tmp_path):
    pascal_voc(tmp_path)
    path = tmp_path / "benchmark_RELEASE/dataset/cls/d.mat"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"d\.mat cannot be read"):
        list(data.pascal_voc(tmp_path))


def test_ids_out_of_range_are_named(tmp_path):
    cityscapes(tmp_path)
    path = tmp_path / "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png"
    write_label(path, [7, 77])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"000001.*Received: 77"):
        list(data.cityscapes(tmp_path))


def test_archives_are_unpacked_and_stored(tmp_path):
    downloads = tmp_path / "downloads"
    expected = cityscapes(tmp_path / "tree")
    cityscapes(tmp_path / "tree", "val")
    for name, folder in (
        ("leftImg8bit_trainvaltest", "leftImg8bit"),
        ("gtFine_trainvaltest", "gtFine"),
    ):
        shutil.make_archive(downloads / name, "zip", tmp_path / "tree", folder)
    dataset = data.cityscapes(downloads, data_dir=tmp_path / "tfds")
    # Stored in an order of its own.
    read = {image.numpy().tobytes(): label.numpy() for image, label in dataset}
    assert len(read) == len(expected) == 3
    for image, label in expected:
        np.testing.assert_array_equal(read[image.tobytes()], label)
    images, _ = next(iter(data.prepare(dataset, 2, 8, training=True)))
    assert images.shape == (2, 8, 8, 3)


BUILDERS = {
    "PascalVocSbd": (pascal_voc, {"train_aug": 4, "train": 2, "val": 1, "trainval": 3}),
    "PascalContext59": (pascal_context, {"train": 2, "val": 1}),
    "PascalContext60": (pascal_context, {"train": 2, "val": 1}),
    "CocoStuff10k": (coco_stuff, {"train": 2, "test": 1}),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_tensorflow_datasets_builders(tmp_path, name):
    tfds = pytest.importorskip("tensorflow_datasets")
    from keras_danet.data import builders

    write, splits = BUILDERS[name]
    written = write(tmp_path / "tree")
    builder = getattr(builders, name)(data_dir=tmp_path / "tfds")
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "tree")
    builder.download_and_prepare(download_config=config)
    found = {split: info.num_examples for split, info in builder.info.splits.items()}
    assert found == splits
    if name == "PascalContext60":
        return  # written without background
    expected = written["train"] if name == "PascalVocSbd" else written[:2]
    labels = [e["label"][..., 0] for e in builder.as_dataset(split="train")]
    wanted = sorted(label.astype("uint8").tobytes() for _, label in expected)
    assert sorted(label.numpy().tobytes() for label in labels) == wanted


def test_a_builder_says_what_to_download(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    from keras_danet.data import builders

    builder = builders.CocoStuff10k(data_dir=tmp_path / "tfds")
    coco_stuff(tmp_path / "tree")
    shutil.rmtree(tmp_path / "tree/imageLists")
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "tree")
    with pytest.raises(
        ValueError, match=r"imageLists/train\.txt is missing.*v1\.1\.zip"
    ):
        builder.download_and_prepare(download_config=config)


@pytest.mark.parametrize("layout", ["images/{0}", "{0}"])
def test_camvid_layouts_and_void(tmp_path, layout):
    labels = "labels/{0}" if "/" in layout else "{0}annot"
    for folder in (layout, labels):
        (tmp_path / folder.format("val")).mkdir(parents=True)
    image = np.full((4, 6, 3), 9, "uint8")
    label = np.arange(24, dtype="uint8").reshape(4, 6) % 12
    Image.fromarray(image).save(tmp_path / layout.format("val") / "a.png")
    Image.fromarray(label).save(tmp_path / labels.format("val") / "a.png")
    ((_, read),) = data.camvid(tmp_path, "val")
    np.testing.assert_array_equal(read, np.where(label == 11, 255, label))
    with pytest.raises(ValueError, match="does not hold the train split.*SegNet"):
        data.camvid(tmp_path)
    with pytest.raises(ValueError, match="'training'"):
        data.camvid(tmp_path, "training")


@needs_shared
def test_camvid_frames():
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        dataset = data.camvid(SHARED / "camvid", split)
        assert dataset.cardinality() == count
    image, label = next(iter(dataset))
    path = min((SHARED / "camvid/labels/test").iterdir())
    expected = np.array(Image.open(path))
    np.testing.assert_array_equal(label, np.where(expected == 11, 255, expected))
    assert image.shape == (360, 480, 3)
