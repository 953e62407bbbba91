"""Try a trained model in the browser: drop a picture, click a point.

    pip install "keras-danet[demo]"
    python examples/demo_app.py model.keras

shows the segmentation as an overlay and as a mask, the classes with their shares, and,
for a clicked point of a DANet, where that point gathers from: its row of the position
attention map. A DF-DAM has no such rows; it shows the confidence map of its 2D position
attention instead. The page works without a network, and nothing leaves the machine.
"""

import argparse
import html
import os
from pathlib import Path
from typing import NamedTuple

# Before the import: gradio would ask its servers for news.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio
import keras
import numpy as np
from matplotlib import colormaps
from PIL import Image

import keras_danet  # noqa: F401  registers the layers of a saved model
from keras_danet.explanation.probe import AttentionProbe, scores_of_points
from keras_danet.images import as_image
from keras_danet.visualization import colorize, overlay, palette

MARK_RADIUS = 0.012  # of the picture's longer side
FONTS = ["system-ui", "sans-serif"]
STYLE = """
.legend { display: flex; flex-wrap: wrap; gap: 6px 18px; padding: 4px 2px; }
.legend span { display: inline-flex; align-items: center; gap: 7px; }
.legend i { width: 15px; height: 15px; border-radius: 3px; border: 1px solid #8888; }
"""


class Seen(NamedTuple):
    """A picture that has been through the model.

    Attributes:
        image: uint8 (H, W, 3), shrunk to the size that was segmented.
        labels: (H, W) class ids.
        attention: what the probe saw, without the logits.
    """

    image: np.ndarray
    labels: np.ndarray
    attention: dict


class Page:
    """What the page does with a model; each method serves one event."""

    def __init__(self, model, longest_side):
        self.model = model
        self.longest_side = longest_side
        names = getattr(model, "class_names", None)
        self.names = names or [f"class {i}" for i in range(model.output_shape[-1])]
        self.probe = AttentionProbe(model)

    def segment(self, path):
        """(overlay, mask, legend, `Seen`) of the dropped file, and the empty rest."""
        nothing = None, None, "", None, None, ""
        if path is None:
            return nothing
        try:
            image = shrunk(as_image(path), self.longest_side)
        except ValueError as error:
            # The folder is gradio's own and tells the user nothing.
            gradio.Warning(str(error).replace(path, Path(path).name), duration=None)
            return nothing
        seen = self.probe(image[None])
        labels = seen.pop("logits")[0].argmax(-1)
        mixed = overlay(image, labels, self.model, show_legend=False)
        mask = colorize(labels, self.model)
        legend = self.legend(np.bincount(labels.ravel()) / labels.size)
        return mixed, mask, legend, Seen(image, labels, seen), None, ""

    def attend(self, seen, event: gradio.SelectData):
        """(picture, text) of where the clicked point of the overlay gathers from."""
        if seen is None:
            return None, ""
        column, row = (int(value) for value in event.index)
        found = self.names[seen.labels[row, column]]
        where = f"Row {row}, column {column}: <b>{html.escape(found)}</b>"
        if "position_attention" in self.probe.layers:
            scores = self.scores_of(seen, (row, column))
            shares = self.legend(class_shares(scores, seen.labels))
            text = f"{where}, which gathers from {shares}"
        elif "pam2d" in self.probe.layers:
            scores = seen.attention["pam2d"][1][0, :, :, 0]
            text = (
                f"{where}. Bright: where details are trusted (2D position attention)."
            )
        else:
            return seen.image, f"{where}. The model has no position attention."
        return marked(heat(seen.image, scores), row, column), text

    def scores_of(self, seen, point):
        """The point's row of the position attention map, (h, w), summing to one."""
        features = seen.attention["position_attention"]
        layer = self.probe.layers["position_attention"]
        return scores_of_points(layer, features, seen.labels.shape, [point])[0]

    def legend(self, fractions):
        """Swatch, name and share of the classes that occur, the largest first."""
        colors = palette(self.model)
        shown = [i for i in np.argsort(-fractions) if fractions[i] >= 0.0005]
        chips = "".join(
            f"<span><i style='background:rgb{tuple(colors[i].tolist())}'></i>"
            f"{html.escape(self.names[i])} {fractions[i]:.1%}</span>"
            for i in shown
        )
        return f"<div class='legend'>{chips}</div>"


def shrunk(image, longest_side):
    """uint8 (H, W, 3), no side longer than that."""
    picture = Image.fromarray(np.clip(np.rint(image), 0, 255).astype("uint8"))
    picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def class_shares(scores, labels):
    """How much of the attention falls on each class."""
    height, width = scores.shape
    cells = Image.fromarray(labels.astype("uint8")).resize(
        (width, height), Image.Resampling.NEAREST
    )
    return np.bincount(np.asarray(cells).ravel(), scores.ravel())


def heat(image, scores):
    """The scores as colors over the grayed picture."""
    size = image.shape[1::-1]
    scores = Image.fromarray(scores / scores.max()).resize(size, Image.BILINEAR)
    strength = np.sqrt(np.clip(np.asarray(scores), 0, 1))[..., None]
    gray = np.repeat(image.mean(-1, keepdims=True), 3, -1) * 0.55
    hot = colormaps["inferno"](strength[..., 0])[..., :3] * 255
    return (gray * (1 - 0.8 * strength) + hot * 0.8 * strength).astype("uint8")


def marked(picture, row, column):
    """A white ring with a dark edge around the point."""
    radius = max(4, MARK_RADIUS * max(picture.shape))
    rows, columns = np.indices(picture.shape[:2])
    distance = np.hypot(rows - row, columns - column) / radius
    picture = picture.copy()
    picture[(distance > 0.5) & (distance < 1.4)] = 0
    picture[(distance > 0.7) & (distance < 1.15)] = 255
    return picture


def build(model, longest_side):
    """The page, a `gradio.Blocks`."""
    page = Page(model, longest_side)
    dense = "position_attention" in page.probe.layers
    title = "Where this point gathers from" if dense else "Attention"
    # Dropped files are deleted an hour after.
    with gradio.Blocks(
        title="keras_danet", analytics_enabled=False, delete_cache=(3600, 3600)
    ) as blocks:
        seen = gradio.State()
        gradio.Markdown(
            f"## {model.name}: {len(page.names)} classes\n"
            "Drop a picture; then click a point in the overlay to see its attention."
        )
        with gradio.Row():
            dropped = gradio.Image(
                label="Picture",
                type="filepath",
                sources=["upload", "clipboard"],
                elem_id="picture",
            )
            # The file itself, for gradio's own reader tells nobody what is wrong.
            dropped.preprocess = lambda file: None if file is None else file.path
            mixed = shown("Overlay (click a point)", "overlay")
        legend = gradio.HTML(elem_id="legend")
        with gradio.Row():
            mask = shown("Mask", "mask")
            attention = shown(title, "attention")
        text = gradio.HTML(elem_id="attention-text")
        results = [mixed, mask, legend, seen, attention, text]
        dropped.change(page.segment, dropped, results, show_progress="minimal")
        mixed.select(page.attend, seen, [attention, text], show_progress="minimal")
    return blocks


def shown(label, name):
    return gradio.Image(
        label=label, format="png", interactive=False, elem_id=name, buttons=["download"]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a .keras file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: the first free from 7860")
    parser.add_argument(
        "--longest-side", type=int, default=1024, help="pixels; larger ones are shrunk"
    )
    args = parser.parse_args()
    model = keras.saving.load_model(args.model, compile=False)
    build(model, args.longest_side).launch(
        server_name=args.host,
        server_port=args.port,
        # The default theme asks a server of Google for its fonts.
        theme=gradio.themes.Default(font=FONTS, font_mono=["monospace"]),
        css=STYLE,
        footer_links=[],
        ssr_mode=False,
    )


if __name__ == "__main__":
    main()
