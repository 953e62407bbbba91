"""The doctor finds each defect, names the files and proposes what mends it."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_danet import data
from keras_danet.data.classes import label_map

RNG = np.random.default_rng(0)


def write(root, labels, *, images=None, palette=None, suffix=".png"):
    """One example per label map; returns the two folders."""
    for kind in ("images", "labels"):
        (root / kind).mkdir(exist_ok=True)
    for index, label in enumerate(labels):
        size = (images or {}).get(index, label.shape[:2])
        image = RNG.integers(0, 256, (*size, 3), dtype="uint8")
        Image.fromarray(image).save(root / "images" / f"{index}{suffix}")
        picture = Image.fromarray(label)
        if palette is not None:
            picture.putpalette(palette)
        picture.save(root / "labels" / f"{index}{suffix}")
    return root / "images", root / "labels"


def maps(values, count=3, size=(12, 16)):
    """Label maps that hold exactly these values."""
    labels = RNG.choice(values, (count, *size)).astype("uint8")
    labels[:, 0, : len(values)] = values
    return list(labels)


def finding(report, kind):
    (found,) = [f for f in report.findings if f.kind == kind]
    return found


def assert_mends(report, folders, num_classes):
    """The proposed mapping, passed, leaves no error."""
    assert report.label_map is not None and not report.ok
    assert data.check(folders, num_classes, label_map=report.label_map).ok
    mended = data.from_folder(*folders, label_map=report.label_map)
    ids = np.unique([label for _, label in mended])
    assert set(ids) <= {*range(num_classes), 255}
    return list(mended)


def test_a_sound_data_set(tmp_path):
    labels = maps([0, 1, 2, 255])
    report = data.check(write(tmp_path, labels), 3, class_names=["sky", "road", "car"])
    assert report.ok and report.findings == [] and report.label_map is None
    stacked = np.stack(labels)
    np.testing.assert_array_equal(
        report.pixels, [(stacked == k).sum() for k in (0, 1, 2)]
    )
    np.testing.assert_array_equal(report.images, [3, 3, 3])
    expected = data.class_weights(data.from_folder(*write(tmp_path, labels)), 3)
    np.testing.assert_array_equal(report.class_weights, expected)
    text = str(report)
    assert "3 examples, 3 classes" in text and "Nothing to complain" in text
    share = 100 * (stacked == 1).sum() / (stacked != 255).sum()
    assert f"{share:.3f} %" in text and "road" in text


def test_missing_pairs(tmp_path):
    folders = write(tmp_path, maps([0, 1], count=4))
    (tmp_path / "images/0.png").unlink()
    (tmp_path / "labels/1.png").unlink()
    report = data.check(folders, 2)
    assert not report.ok and report.examples == 2
    files = [f.files for f in report.findings if f.kind == "missing pairs"]
    assert sorted(name.split("/")[-2:] for (name,) in files) == [
        ["images", "1.png"],
        ["labels", "0.png"],
    ]


def test_unreadable_files_and_size_mismatch(tmp_path):
    folders = write(
        tmp_path, maps([0, 1], count=4, size=(40, 50)), images={3: (40, 48)}
    )
    for name in ("images/0.png", "labels/1.png"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    report = data.check(folders, 2)
    broken = finding(report, "unreadable files")
    assert [name.split("/")[-2:] for name in broken.files] == [
        ["images", "0.png"],
        ["labels", "1.png"],
    ]
    assert "truncated" in broken.message
    mismatch = finding(report, "size mismatch")
    assert mismatch.files[0].endswith("3.png") and "40x48" in mismatch.message


def test_jpeg_labels(tmp_path):
    report = data.check(write(tmp_path, maps([0, 1]), suffix=".jpg"), 2)
    assert "JPEG" in finding(report, "unreadable files").message
    assert finding(report, "no examples").level == "error"


def test_color_masks_of_a_known_data_set(tmp_path):
    ids = maps([0, 3, 8, 11])
    colors = np.vstack([data.class_colors("camvid"), [[0, 0, 0]]]).astype("uint8")
    folders = write(tmp_path, [colors[label] for label in ids])
    report = data.check(folders, 11)
    assert "colors of camvid" in finding(report, "color masks").cure
    assert report.pixels.sum() == sum((label != 11).sum() for label in ids)
    mended = assert_mends(report, folders, 11)
    np.testing.assert_array_equal(mended[0][1], np.where(ids[0] == 11, 255, ids[0]))


def test_color_masks_of_an_own_data_set(tmp_path):
    colors = np.array([[9, 9, 9], [200, 0, 0], [0, 200, 0]], "uint8")
    folders = write(tmp_path, [colors[label] for label in maps([0, 1, 2])])
    report = data.check(folders, 3)
    assert set(report.label_map) == set(map(tuple, colors.tolist()))
    assert_mends(report, folders, 3)
    noisy = RNG.integers(0, 256, (12, 16, 3), dtype="uint8")
    report = data.check(write(tmp_path, [noisy] * 3), 3)
    assert report.label_map is None
    assert "lossily" in finding(report, "color masks").cure


def test_palette_masks_are_fine(tmp_path):
    palette = RNG.integers(0, 256, 768).tolist()
    folders = write(tmp_path, maps([0, 1, 2]), palette=palette)
    report = data.check(folders, 3)
    assert report.ok and finding(report, "palette masks").level == "note"


@pytest.mark.parametrize(
    "kind, values, num_classes, mapping",
    [
        ("0/255 masks", [0, 255], 2, {0: 0, 255: 1}),
        ("labelIds", [0, 7, 8, 26, 33], 19, label_map("cityscapes")),
        ("shifted labels", [1, 2, 3], 3, {0: 255, 1: 0, 2: 1, 3: 2}),
        ("shifted labels", [0, 1, 2, 3], 3, {0: 255, 1: 0, 2: 1, 3: 2}),
        ("source ids", [0, 5, 11], 11, label_map("camvid")),
        ("gray masks", [0, 127, 254], 3, {0: 0, 127: 1, 254: 2}),
    ],
)
def test_wrong_ids_are_explained_and_mended(
    tmp_path, kind, values, num_classes, mapping
):
    folders = write(tmp_path, maps(values))
    report = data.check(folders, num_classes)
    assert finding(report, kind).level == "error"
    assert report.label_map == mapping
    assert f"label_map={mapping}" in str(report)
    assert_mends(report, folders, num_classes)
    mended = data.check(folders, num_classes, label_map=mapping)
    np.testing.assert_array_equal(report.pixels, mended.pixels)
    np.testing.assert_array_equal(report.class_weights, mended.class_weights)


def test_a_wrong_mapping_is_found(tmp_path):
    folders = write(tmp_path, maps([0, 1, 2]))
    report = data.check(folders, 3, label_map={0: 0, 1: 1, 2: 7})
    assert "values 7;" in finding(report, "ids out of range").message
    assert report.label_map is None
    report = data.check(folders, 3, label_map={0: 0, 1: 1})
    assert "stand for no class" in finding(report, "unreadable files").message


def test_label_ids_are_known_by_their_names(tmp_path):
    """Ids of only the first classes are in range, and wrong all the same."""
    folders = write(tmp_path, maps([7, 8, 11]))
    for folder, end in zip(folders, ("", "_gtFine_labelIds"), strict=True):
        for path in sorted(folder.iterdir()):
            path.rename(folder / f"{path.stem}{end}.png")
    lists = [sorted(folder.iterdir()) for folder in folders]
    report = data.check(lists, 19)
    assert finding(report, "labelIds").level == "error"
    assert report.label_map == label_map("cityscapes")


def test_ids_out_of_range_name_their_files(tmp_path):
    labels = maps([0, 1, 2, 9])
    labels[1][labels[1] == 9] = 0
    report = data.check(write(tmp_path, labels), 3)
    found = finding(report, "ids out of range")
    assert [name[-5:] for name in found.files] == ["0.png", "2.png"]
    assert "values 9;" in found.message and report.label_map is None


def test_rare_slips_are_called_so(tmp_path):
    labels = maps([0, 1, 2], size=(300, 400))
    labels[2][5, 5] = 77
    cure = finding(data.check(write(tmp_path, labels), 3), "ids out of range").cure
    assert "slips" in cure


def test_empty_classes_and_void_labels(tmp_path):
    labels = [*maps([0, 2]), np.full((12, 16), 255, "uint8")]
    report = data.check(write(tmp_path, labels), 4)
    assert report.ok
    assert (
        "2 of 4 classes have no pixel: 1, 3" in finding(report, "empty classes").message
    )
    assert finding(report, "nothing labelled").files[0].endswith("3.png")


def test_a_tf_data_set():
    report = data.check(data.scenes(6), 9, class_names=data.class_names("scenes"))
    assert report.ok and report.examples == 6
    spoiled = data.scenes(3).map(
        lambda image, label: (image, tf.cast(label, "int32") - 1)
    )
    found = finding(data.check(spoiled, 9), "ids out of range")
    assert found.files[0] == "example 0" and "-1" in found.message


def test_the_contact_sheet(tmp_path):
    report = data.check(data.scenes(20), 9, class_names=data.class_names("scenes"))
    assert len(report.samples) == 8
    sheet = report.contact_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        np.testing.assert_array_equal(picture, sheet)
    assert sheet.shape[0] > 8 * 128 and sheet.shape[1] > 2 * 192
    folders = write(tmp_path, maps([0, 255]))
    assert set(np.unique(data.check(folders, 2).samples[0][1])) == {0, 1}


def test_without_a_readable_example_there_is_no_contact_sheet(tmp_path):
    report = data.check(write(tmp_path, maps([0, 1]), suffix=".jpg"), 2)
    with pytest.raises(ValueError, match="nothing to draw"):
        report.contact_sheet()


def test_the_example(tmp_path, monkeypatch, capsys):
    script = Path(__file__).parents[1] / "examples" / "check_dataset.py"
    images, labels = write(tmp_path, maps([1, 2, 3]))
    options = ["--images", images, "--labels", labels, "--num-classes", 3]
    sheet = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["x", *map(str, options), "--sheet", str(sheet)])
    with pytest.raises(SystemExit, match="1"):
        runpy.run_path(script, run_name="__main__")
    assert "shifted labels" in capsys.readouterr().out
    assert sheet.exists()


def test_arguments_that_do_not_fit(tmp_path):
    folders = write(tmp_path, maps([0, 1]))
    for arguments, message in (
        ((folders, 1), "num_classes=1"),
        (((folders[0], tmp_path / "none"), 2), "no folder .*none"),
        (((["a.png"], []), 2), "1 images, 0 labels"),
        (("images", 2), "Received: str"),
        ((data.scenes(2).repeat(), 9), "never ends"),
        ((data.scenes(2).batch(2), 9), "single examples"),
    ):
        with pytest.raises(ValueError, match=message):
            data.check(*arguments)
    with pytest.raises(ValueError, match="1 class names"):
        data.check(folders, 2, class_names=["one"])
