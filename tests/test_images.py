"""Images of every kind: the right pixels, or an error that names the file."""

import keras
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile

from keras_danet.images import as_image, as_label
from keras_danet.inference import UnreadableImages, segment
from tests.hostile import ARRAYS, ERROR, FILES, PICTURE, encoded, photo, sources


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize("name", [*FILES, *ARRAYS])
def test_every_hostile_kind(name, tmp_path):
    found = [s for s in sources(tmp_path, len(FILES) + len(ARRAYS)) if s[0] == name]
    [(_, expected, source)] = found
    if expected == PICTURE:
        image = as_image(source)
        assert image.ndim == 3 and image.shape[-1] == 3 and image.size
        assert np.isfinite(image).all() and 0 <= image.min() <= image.max() <= 255.5
        return
    with pytest.raises(ValueError) as info:
        as_image(source)
    if name in FILES:
        assert source.name in str(info.value)


@pytest.mark.parametrize("kind", ["path", "string", "picture", "array", "tensor"])
def test_every_kind_of_source_gives_the_same_pixels(kind, rng, tmp_path):
    pixels = photo(rng, 6, 9)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    source = {
        "path": path,
        "string": str(path),
        "picture": Image.fromarray(pixels),
        "array": pixels,
        "tensor": keras.ops.convert_to_tensor(pixels),
    }[kind]
    image = as_image(source)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)


# EXIF orientation: how the stored pixels become upright.
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("value", UPRIGHT)
def test_exif_orientation_is_respected(value, rng, tmp_path):
    stored = photo(rng, 5, 8)
    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / "turned.png"
    path.write_bytes(encoded(stored, "PNG", exif=exif))
    np.testing.assert_array_equal(as_image(path), UPRIGHT[value](stored))
    np.testing.assert_array_equal(as_image(Image.open(path)), UPRIGHT[value](stored))


def test_colors_of_other_modes(rng, tmp_path):
    gray = photo(rng, 4, 5)[..., 0]
    for source in (Image.fromarray(gray), gray, gray[..., None]):
        image = as_image(source)
        np.testing.assert_array_equal(image, np.repeat(gray[..., None], 3, -1))
    # Palette: the colors, not the indices.
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 150, 100])
    picture.putpixel((1, 0), 1)
    path = tmp_path / "palette.png"
    picture.save(path)
    assert as_image(path).tolist() == [[[10, 20, 30], [200, 150, 100]]]
    # Alpha is dropped, also where it is zero.
    rgba = np.array([[[9, 8, 7, 0]]], "uint8")
    for source in (Image.fromarray(rgba), rgba):
        assert as_image(source).tolist() == [[[9, 8, 7]]]
    # CMYK: pure cyan of ink is black of red.
    cyan = Image.new("CMYK", (1, 1), (255, 0, 0, 0))
    assert as_image(cyan).tolist() == [[[0, 255, 255]]]


def test_16_bits_keep_their_digits(tmp_path):
    values = np.array([[0, 1, 257, 32896, 65535]], "uint16")
    path = tmp_path / "deep.png"
    Image.fromarray(values).save(path)
    image = as_image(path)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[..., 0], values / 257, rtol=1e-6)
    path = tmp_path / "deep.tif"
    Image.fromarray(values).save(path)
    np.testing.assert_allclose(as_image(path)[..., 2], values / 257, rtol=1e-6)


def test_the_first_of_several_frames(rng, tmp_path):
    frames = [photo(rng, 4, 5) for _ in range(3)]
    path = tmp_path / "pages.tif"
    first, *rest = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=rest)
    np.testing.assert_array_equal(as_image(path), frames[0])


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "wide.png"
    Image.new("L", (200, 100)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 19_999)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"wide\.png.*200x100.*MAX_IMAGE_PIXELS"):
        as_image(path)


def test_programs_are_never_started_for_a_picture(tmp_path, monkeypatch):
    """Pillow would run Ghostscript on a PostScript file, whatever its suffix."""
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("ran"))
    path = tmp_path / "harmless.jpg"
    path.write_bytes(encoded(np.zeros((4, 4, 3), "uint8"), "EPS"))
    with pytest.raises(ValueError, match=r"harmless\.jpg cannot be read"):
        as_image(path)


def test_channels_first_gets_advice():
    with pytest.raises(ValueError, match="np.moveaxis.*Received: shape"):
        as_image(np.zeros((3, 30, 40)))


@pytest.mark.parametrize(
    "label, message",
    [
        (np.array([[0.5, 1]]), "argmax"),
        (np.array([[np.nan, 1]]), "argmax"),
        (np.array([["a"]]), "not numbers"),
        (np.array([[True]]), "not numbers"),
    ],
)
def test_what_is_no_label_map(label, message):
    with pytest.raises(ValueError, match=message):
        as_label(label)


def test_label_maps():
    for label in (np.eye(3, dtype="uint8"), np.eye(3)[..., None], keras.ops.eye(3)):
        assert as_label(label).dtype == np.int64
        np.testing.assert_array_equal(as_label(label), np.eye(3))


def darker_or_lighter(images):
    return np.stack([images[..., 0], 200 - images[..., 0]], -1)


@pytest.mark.proof
def test_500_hostile_images(tmp_path, capsys):
    """A batch of 500 goes on past every bad one and lists it; see proof/images.md."""
    cases = list(sources(tmp_path, 500, seed=11))
    with pytest.raises(UnreadableImages) as info:
        segment(darker_or_lighter, [source for _, _, source in cases])
    results, errors = info.value.results, info.value.errors
    counts = {}
    for number, ((name, expected, source), result) in enumerate(
        zip(cases, results, strict=True)
    ):
        assert (result is None) == (expected == ERROR), name
        assert (number in errors) == (expected == ERROR), name
        if name in FILES and expected == ERROR:
            assert source.name in str(errors[number])
        if result is not None:
            assert result.labels.shape == as_image(source).shape[:2]
        counts[name, expected] = counts.get((name, expected), 0) + 1
    with capsys.disabled():
        for (name, expected), count in counts.items():
            print(f"| {name} | {count} | {expected} |")
