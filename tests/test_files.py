"""Pictures in every form a data set comes in, and errors that name the file."""

import numpy as np
import pytest
from PIL import Image

from keras_danet.data.files import read_image, read_pair
from keras_danet.data.labels import check_label_map, read_label

IDS = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1, 3]], "uint8")
RGB = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype="uint8")


def palette_png(path, ids=IDS, **options):
    picture = Image.fromarray(ids)
    picture.putpalette(np.random.default_rng(1).integers(0, 256, 768).tolist())
    picture.save(path, **options)
    return path


def gray_png(path, values, bits):
    """A gray PNG of 1, 2, 4 bits a pixel, which Pillow cannot write itself."""
    import struct
    import zlib

    height, width = values.shape
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    planes = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :]
    rows = np.packbits(planes.reshape(height, -1), axis=1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(name + content))
        png += struct.pack(">I", len(content)) + name + content + check
    path.write_bytes(png)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_lossless_images_come_back_exactly(tmp_path, suffix):
    Image.fromarray(RGB).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), RGB)


def test_jpeg_decodes_as_pillow_does(tmp_path):
    smooth = np.kron(RGB, np.ones((9, 11, 1), "uint8"))
    for name, options in {"444": {"subsampling": 0}, "420": {}}.items():
        Image.fromarray(smooth).save(tmp_path / f"{name}.jpg", **options)
        with Image.open(tmp_path / f"{name}.jpg") as picture:
            expected = np.array(picture)
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.jpg"), expected)


def test_cmyk_becomes_rgb(tmp_path):
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert read_image(tmp_path / "a.jpg").shape == RGB.shape


def test_image_modes_become_rgb(tmp_path):
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 7, "uint8")])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), RGB)
    Image.fromarray(RGB[..., 0]).save(tmp_path / "gray.png")
    gray = read_image(tmp_path / "gray.png")
    np.testing.assert_array_equal(gray, np.repeat(RGB[..., :1], 3, axis=2))
    palette = palette_png(tmp_path / "palette.png")
    with Image.open(palette) as picture:
        expected = np.array(picture.convert("RGB"))
    np.testing.assert_array_equal(read_image(palette), expected)


def test_palette_labels_give_indices_not_colors(tmp_path):
    np.testing.assert_array_equal(read_label(palette_png(tmp_path / "a.png")), IDS)
    packed = palette_png(tmp_path / "b.png", bits=2)
    np.testing.assert_array_equal(read_label(packed), IDS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_labels_of_few_bits_keep_their_ids(tmp_path, bits):
    ids = np.minimum(IDS, 2**bits - 1)
    label = read_label(gray_png(tmp_path / "a.png", ids, bits))
    np.testing.assert_array_equal(label, ids)
    assert label.dtype == np.uint8


def test_label_map_of_ids(tmp_path):
    Image.fromarray(np.where(IDS == 3, 255, IDS).astype("uint8")).save(
        tmp_path / "a.png"
    )
    label = read_label(tmp_path / "a.png", {0: 255, 1: 0, 2: 1})
    expected = np.array([[255, 0, 1, 255], [255, 1, 0, 255], [0, 0, 0, 255]], "uint8")
    np.testing.assert_array_equal(label, expected)
    with pytest.raises(ValueError, match=r"a\.png holds values.*Received: 2"):
        read_label(tmp_path / "a.png", {0: 255, 1: 0})


@pytest.mark.parametrize(
    "label_map", [{-1: 0}, {70000: 0}, {0: 256}, {0: "sky"}, {(1, 2): 0}, {0.5: 0}]
)
def test_a_label_map_that_cannot_be_applied(label_map):
    check_label_map({0: 0, 65535: 254, (0, 0, 255): 255})
    check_label_map(None)
    with pytest.raises(ValueError, match="`label_map` maps ints.*Received"):
        check_label_map(label_map)


def test_label_map_of_16_bit_ids(tmp_path):
    Image.fromarray(IDS.astype("uint16") * 1000).save(tmp_path / "a.png")
    label = read_label(tmp_path / "a.png", {i * 1000: i for i in range(4)})
    np.testing.assert_array_equal(label, IDS)
    with pytest.raises(ValueError, match=r"a\.png holds values.*1000, 2000, 3000"):
        read_label(tmp_path / "a.png")


def test_labels_of_signed_and_float_pictures(tmp_path):
    Image.fromarray(IDS.astype("float32")).save(tmp_path / "whole.tif")
    np.testing.assert_array_equal(read_label(tmp_path / "whole.tif"), IDS)
    Image.fromarray(IDS.astype("int32") - 1).save(tmp_path / "signed.tif")
    with pytest.raises(ValueError, match=r"signed\.tif holds values.*-1"):
        read_label(tmp_path / "signed.tif", {i: i for i in range(4)})
    Image.fromarray(IDS.astype("float32") / 2).save(tmp_path / "resized.tif")
    with pytest.raises(ValueError, match=r"resized\.tif holds fractions.*0\.5, 1\.5"):
        read_label(tmp_path / "resized.tif")


def test_label_map_of_colors(tmp_path):
    colors = np.array([[0, 0, 0], [128, 64, 128], [255, 255, 255], [1, 2, 3]], "uint8")
    Image.fromarray(colors[IDS]).save(tmp_path / "a.png")
    names = {tuple(color.tolist()): i for i, color in enumerate(colors)}
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", names), IDS)
    with pytest.raises(ValueError, match=r"a\.png holds colors.*\(128, 64, 128\)"):
        read_label(tmp_path / "a.png", {(0, 0, 0): 0, (255, 255, 255): 1, (1, 2, 3): 2})
    with pytest.raises(ValueError, match=r"a\.png is a color mask.*label_map"):
        read_label(tmp_path / "a.png")


def test_bad_files_are_named(tmp_path):
    Image.fromarray(RGB.repeat(40, 0).repeat(40, 1)).save(tmp_path / "image.jpg")
    Image.fromarray(np.kron(IDS, RGB[..., 0])).save(tmp_path / "label.png")
    for name, read in (("image.jpg", read_image), ("label.png", read_label)):
        whole = (tmp_path / name).read_bytes()
        read(tmp_path / name)
        for part in (len(whole) * 2 // 3, 10, 0):
            (tmp_path / name).write_bytes(whole[:part])
            with pytest.raises(ValueError, match=f"{name} cannot be read"):
                read(tmp_path / name)
    with pytest.raises(ValueError, match=r"no file .*absent\.png"):
        read_label(tmp_path / "absent.png")
    Image.fromarray(IDS.astype("uint16")).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png has more than 8 bits"):
        read_image(tmp_path / "deep.png")
    Image.fromarray(IDS).save(tmp_path / "lossy.jpg")
    with pytest.raises(ValueError, match=r"lossy\.jpg is a JPEG"):
        read_label(tmp_path / "lossy.jpg")


def test_a_size_mismatch_names_both_files(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(IDS[:2]).save(tmp_path / "b.png")
    message = r"a\.png and label .*b\.png differ in size.*image 3x4, label 2x4"
    with pytest.raises(ValueError, match=message):
        read_pair(tmp_path / "a.png", tmp_path / "b.png", read_label)
    Image.fromarray(np.ascontiguousarray(IDS.T)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="EXIF"):
        read_pair(tmp_path / "a.png", tmp_path / "b.png", read_label)
