"""Folders and CamVid as data sets."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_danet import data


def write_pair(root, name, image, label, suffix=".png"):
    for kind, array, end in (("images", image, suffix), ("labels", label, ".png")):
        path = root / kind / (name + end)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)


def write_folder(root, count=3, size=(6, 8)):
    rng = np.random.default_rng(0)
    examples = {}
    for i in range(count):
        name = f"town{i % 2}/{i}"
        image = rng.integers(0, 256, (*size, 3), dtype="uint8")
        label = rng.integers(0, 4, size, dtype="uint8")
        write_pair(root, name, image, label)
        examples[name] = image, label
    return [examples[name] for name in sorted(examples)]


def test_from_folder_pairs_by_name_below_the_folder(tmp_path):
    expected = write_folder(tmp_path)
    (tmp_path / "labels" / "notes.txt").write_text("not a picture")
    dataset = data.from_folder(tmp_path / "images", tmp_path / "labels")
    assert dataset.cardinality() == 3
    for (image, label), (wanted_image, wanted_label) in zip(
        dataset, expected, strict=True
    ):
        np.testing.assert_array_equal(image, wanted_image)
        np.testing.assert_array_equal(label, wanted_label)
        assert image.dtype == label.dtype == tf.uint8


def test_from_folder_takes_lists_of_files_and_a_label_map(tmp_path):
    (image, label), *_ = write_folder(tmp_path)
    dataset = data.from_folder(
        [tmp_path / "images/town0/0.png"],
        [str(tmp_path / "labels/town0/0.png")],
        label_map={0: 255, 1: 0, 2: 1, 3: 2},
    )
    _, mapped = next(iter(dataset))
    np.testing.assert_array_equal(mapped, np.array([255, 0, 1, 2], "uint8")[label])
    with pytest.raises(ValueError, match="1 images, 2 labels"):
        data.from_folder(["a.png"], ["a.png", "b.png"])


def test_missing_partners_are_listed(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "images/town0/0.png").unlink()
    (tmp_path / "labels/town1/1.png").unlink()
    with pytest.raises(
        ValueError, match=r"(?s)2 files have no partner.*town1/1\.png.*town0/0\.png"
    ):
        data.from_folder(tmp_path / "images", tmp_path / "labels")


def test_absent_empty_and_ambiguous_folders(tmp_path):
    write_folder(tmp_path)
    with pytest.raises(ValueError, match="no folder .*nowhere"):
        data.from_folder(tmp_path / "nowhere", tmp_path / "labels")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no pictures.*\.png"):
        data.from_folder(tmp_path / "images", tmp_path / "empty")
    image = tmp_path / "images/town0/0"
    image.with_suffix(".bmp").write_bytes(image.with_suffix(".png").read_bytes())
    with pytest.raises(ValueError, match="Two files are called town0/0"):
        data.from_folder(tmp_path / "images", tmp_path / "labels")


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_truncated_file_is_named_while_iterating(tmp_path, kind):
    write_folder(tmp_path, size=(40, 50))
    path = tmp_path / kind / "town0" / "2.png"
    path.write_bytes(path.read_bytes()[:-60])
    dataset = data.from_folder(tmp_path / "images", tmp_path / "labels")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"town0/2\.png cannot"):
        list(dataset)
    batches = data.prepare(dataset, 1, 16, training=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"town0/2\.png cannot"):
        list(batches.take(6))
