"""Colors, overlays, grids and curves: the pixels that must be there."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image

from keras_danet import visualization
from keras_danet.data import class_colors, class_names
from keras_danet.visualization import colorize, grid, overlay, palette, training_curves
from keras_danet.visualization.grid import WRONG, error_picture

pytestmark = pytest.mark.once
NAMES = class_names("scenes")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (30, 44, 3), "uint8")


@pytest.fixture
def label():
    label = np.random.default_rng(1).integers(0, len(NAMES), (30, 44)).astype("uint8")
    label[:3] = 255
    return label


def model_of(names, num_classes=None):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(num_classes or len(names), 1)(image))
    model.class_names = names
    return model


@pytest.mark.parametrize("name", ["scenes", "camvid"])
def test_colors_of_a_known_data_set(name):
    names = class_names(name)
    np.testing.assert_array_equal(palette(names), class_colors(name))
    np.testing.assert_array_equal(palette(model_of(names)), class_colors(name))
    # Some of its classes in another order, as after with_classes.
    np.testing.assert_array_equal(palette(names[::-2]), class_colors(name)[::-2])


def test_other_names_get_generated_colors():
    names = ["liver", "kidney", "sky"]
    np.testing.assert_array_equal(palette(names), palette(3))
    np.testing.assert_array_equal(palette(model_of(None, 3)), palette(3))


def test_generated_colors_are_distinct_and_do_not_depend_on_their_number():
    colors = palette().astype(int)
    assert colors.shape == (255, 3)
    assert len(np.unique(colors, axis=0)) == 255
    np.testing.assert_array_equal(palette(20), colors[:20])
    apart = np.abs(colors[:20, None] - colors[None, :20]).sum(-1)
    assert apart[~np.eye(20, dtype=bool)].min() > 60
    assert colors.sum(-1).min() > 0  # black is the ignored pixels'
    palette(3)[:] = 0  # a copy: the next caller's colors stay
    assert palette(3).any()


def test_given_colors_are_used():
    colors = [[1, 2, 3], [4, 5, 6]]
    assert colorize(np.array([[1, 0]]), colors).tolist() == [[[4, 5, 6], [1, 2, 3]]]


def test_colorize(label):
    picture = colorize(label, NAMES)
    assert picture.dtype == np.uint8 and picture.shape == (30, 44, 3)
    assert (picture[:3] == 0).all()
    np.testing.assert_array_equal(picture[3:], class_colors("scenes")[label[3:]])
    for other in (label[..., None], label.astype("float32"), label.astype("int64")):
        np.testing.assert_array_equal(colorize(other, NAMES), picture)


@pytest.mark.parametrize(
    "label, message",
    [
        (np.array([[9]]), r"9 colors.*labels \[9\]"),
        (np.array([[-1]]), r"labels \[-1\]"),
        (np.array([[0.3]]), "class id per pixel.*argmax"),
        (np.array([[True]]), "class id per pixel"),
    ],
)
def test_labels_without_a_color(label, message):
    with pytest.raises(ValueError, match=message):
        colorize(label, NAMES)


@pytest.mark.parametrize(
    "colors, message",
    [
        (np.zeros((4, 4)), r"\(K, 3\)"),
        ([[0, 0, 256]], r"\[0, 255\]"),
        ([], r"\(K, 3\)"),
        (0, "1 to 255"),
        (256, "1 to 255"),
    ],
)
def test_what_is_no_palette(colors, message):
    with pytest.raises(ValueError, match=message):
        palette(colors)


def test_overlay_mixes_and_spares_ignored_pixels(image, label):
    mixed = overlay(image, label, NAMES, opacity=0.25, show_legend=False)
    np.testing.assert_array_equal(mixed[:3], image[:3])
    colors = class_colors("scenes")[label[3:]]
    expected = np.rint(0.75 * image[3:] + 0.25 * colors)
    np.testing.assert_array_equal(mixed[3:], expected)
    opaque = overlay(image, label, NAMES, opacity=1, show_legend=False)
    np.testing.assert_array_equal(opaque[3:], colors)


def test_legend_shows_the_classes_that_occur(image):
    label = np.zeros((30, 44), "uint8")
    label[:, 20:] = NAMES.index("car")
    figure = overlay(image, label, NAMES)
    legend = figure[30:].reshape(-1, 3).tolist()
    colors = class_colors("scenes").tolist()
    for name, color in zip(NAMES, colors, strict=True):
        assert (color in legend) == (name in ("sky", "car")), name
    assert figure.shape[1] >= 44
    nothing = overlay(image, np.full((30, 44), 255), NAMES)
    np.testing.assert_array_equal(nothing, image)


def test_overlay_reads_files_and_saves(image, label, tmp_path):
    Image.fromarray(image).save(tmp_path / "image.png")
    path = tmp_path / "deep" / "overlay.png"
    figure = overlay(tmp_path / "image.png", label, model_of(NAMES), path=path)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), figure)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_nothing(image, label, tmp_path):
    with pytest.raises(ValueError):
        overlay(image, label, path=tmp_path / "overlay.unknown")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opacity", [-0.1, 1.1])
def test_overlay_errors(image, label, opacity):
    with pytest.raises(ValueError, match="`opacity`"):
        overlay(image, label, opacity=opacity)
    with pytest.raises(ValueError, match="differ in size.*Received: image"):
        overlay(image, label[1:])


def test_error_picture(image, label):
    prediction = np.where(label == 255, 0, label)
    prediction[10, 5] = (label[10, 5] + 1) % 9
    picture = error_picture(image, label, prediction)
    assert (picture[:3] == 0).all()
    assert tuple(picture[10, 5]) == WRONG
    right = picture[3:7].astype(int)
    assert (right[..., 0] == right[..., 1]).all()  # gray


def test_grid_holds_every_picture(image, label, tmp_path):
    prediction = np.where(label == 255, 2, label)
    small = image[:20, :25], label[:20, :25], prediction[:20, :25]
    figure = grid(
        [image, small[0]],
        [label, small[1]],
        [prediction, small[2]],
        NAMES,
        path=tmp_path / "grid.png",
    )
    for picture in (
        image,
        colorize(label, NAMES),
        colorize(prediction, NAMES),
        error_picture(image, label, prediction),
        small[0],
        colorize(small[1], NAMES),
    ):
        assert contains(figure, picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "grid.png")), figure)


def contains(figure, picture):
    """Whether the picture stands in the figure somewhere, pixel for pixel."""
    height, width = picture.shape[:2]
    views = np.lib.stride_tricks.sliding_window_view(figure, (height, width), (0, 1))
    corner = (views[..., 0, 0] == picture[0, 0]).all(-1)
    corner &= (views[..., -1, -1] == picture[-1, -1]).all(-1)
    return any(
        (figure[r : r + height, c : c + width] == picture).all()
        for r, c in np.argwhere(corner)
    )


def test_grid_of_labels_alone_has_no_error_column(image, label):
    one = grid([image], [label], colors=NAMES)
    both = grid([image], [label], [label * 0], NAMES)
    assert one.shape[1] < both.shape[1]
    assert contains(grid([image], predictions=[label * 0]), image)


def test_grid_errors(image, label):
    with pytest.raises(ValueError, match="2 images, 1 labels"):
        grid([image, image], [label])
    with pytest.raises(ValueError, match="no label maps"):
        grid([image])
    with pytest.raises(ValueError, match="0 images"):
        grid([], [])


HISTORY = {
    "loss": [2.0, 1.0],
    "val_loss": [float("nan"), 1.5],
    "fused_loss": [1.0, 0.5],
    "mean_iou": [0.1, 0.2],
    "learning_rate": [0.1, 0.05],
    "position_attention_gamma": [0.0, 0.1],
    "channel_attention_gamma": [0.0, 0.2],
    "val_mean_iou": [float("nan"), float("nan")],  # never logged
}


def test_training_curves_of_a_history_and_of_a_log(tmp_path):
    log = tmp_path / "log.csv"
    with log.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *HISTORY])
        for epoch, row in enumerate(zip(*HISTORY.values(), strict=True)):
            writer.writerow([epoch, *("NA" if np.isnan(x) else x for x in row)])
    for history in (HISTORY, log):
        figure = training_curves(history, tmp_path / "curves.png")
        titles = [ax.get_title() for ax in figure.axes]
        assert titles == ["loss", "score", "learning rate", "attention gamma"]
        assert len(figure.axes[3].lines) == 2
        losses = {line.get_label(): line for line in figure.axes[0].lines}
        assert set(losses) == {"loss", "val_loss", "fused_loss"}
        assert [line.get_label() for line in figure.axes[1].lines] == ["mean_iou"]
        assert losses["val_loss"].get_xdata().tolist() == [2]
        assert losses["val_loss"].get_linestyle() == "--"
        assert losses["val_loss"].get_color() == losses["loss"].get_color()
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_training_curves_of_nothing(tmp_path):
    for history in ({}, {"loss": []}):
        with pytest.raises(ValueError, match="at least one epoch"):
            training_curves(history)
    bad = tmp_path / "bad.csv"
    for rows in ("0,high", "0,1.5\n1", "0,1.5,2.5"):
        bad.write_text(f"epoch,loss\n{rows}\n")
        with pytest.raises(ValueError, match=r"bad\.csv is no log"):
            training_curves(bad)


def test_public_names_have_examples():
    for name in visualization.__all__:
        assert ">>>" in getattr(visualization, name).__doc__, name
