"""The figure of an `Explanation`."""

from pathlib import Path

import numpy as np

from keras_danet.visualization import overlay

_COLUMNS = 4


def draw(seen, path=None):
    """One panel for each thing that an `Explanation` holds.

    Args:
        seen: the `Explanation`.
        path: where to save the figure as well, or None.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    panels = _panels(seen)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    height, width = seen.image.shape[:2]
    tall = float(np.clip(3.6 * height / width, 1.2, 6))
    figure = Figure(figsize=(3.6 * columns, (tall + 0.5) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        panel(ax)
    for ax in axes[len(panels) :]:
        ax.axis("off")
    if seen.gammas:
        learned = (f"{n.replace('_', ' ')} {g:.4g}" for n, g in seen.gammas.items())
        figure.suptitle("learned gamma: " + ", ".join(learned), fontsize=10)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return figure


def _panels(seen):
    """Functions of an axes, in the order of the papers' figures."""
    panels = [lambda ax: _image(ax, seen), lambda ax: _labels(ax, seen)]
    if seen.position_maps is not None:
        panels += [lambda ax, i=i: _looks(ax, seen, i) for i in range(len(seen.points))]
    if seen.channel_maps is not None:
        panels += [
            lambda ax, c=c, m=m: _channel(ax, c, m)
            for c, m in zip(seen.channels, seen.channel_maps, strict=True)
        ]
    if seen.low_weights is not None:
        panels.append(lambda ax: _weights(ax, seen))
    if seen.confidence is not None:
        panels.append(lambda ax: _confidence(ax, seen))
    return panels


def _picture(ax, picture, title, **kwargs):
    shown = ax.imshow(picture, **kwargs)
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
    return shown


def _image(ax, seen):
    _picture(ax, np.clip(seen.image, 0, 255).astype("uint8"), "image")
    if seen.position_maps is None:
        return
    for number, (row, column) in enumerate(seen.points, 1):
        _mark(ax, row, column)
        ax.annotate(
            str(number),
            (column, row),
            xytext=(5, 5),
            textcoords="offset points",
            color="white",
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "black", "alpha": 0.6, "lw": 0},
        )


def _mark(ax, row, column):
    ax.plot(column, row, "+", color="black", markersize=13, markeredgewidth=3.5)
    ax.plot(column, row, "+", color="lime", markersize=11, markeredgewidth=1.5)


def _labels(ax, seen):
    colors = seen.class_names or None
    _picture(
        ax, overlay(seen.image, seen.labels, colors, show_legend=False), "prediction"
    )


def _looks(ax, seen, index):
    """A sub-attention map over the gray image, in the image's coordinates."""
    height, width = seen.image.shape[:2]
    row, column = seen.points[index]
    gray = np.asarray(seen.image, "float32").mean(axis=-1)
    ax.imshow(gray, cmap="gray", vmin=0, vmax=255)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    title = f"point {index + 1} ({row}, {column}) looks at"
    # Each map has its own scale: all of its values sum to one.
    scores = seen.position_maps[index] / seen.position_maps[index].max()
    alpha = 0.25 + 0.65 * scores
    _picture(ax, scores, title, extent=extent, cmap="inferno", alpha=alpha, vmin=0)
    _mark(ax, row, column)


def _channel(ax, number, values):
    _picture(ax, values, f"channel {number} after channel attention", cmap="viridis")


def _weights(ax, seen):
    channels = np.arange(len(seen.low_weights))
    ax.plot(channels, seen.low_weights, lw=1, label="low stage")
    ax.plot(channels, seen.high_weights, lw=1, label="high stage")
    ax.set_title("channel weights (DAFM)", fontsize=10)
    ax.set_xlabel("channel")
    ax.set_ylim(0, 1)
    ax.legend(fontsize=8)


def _confidence(ax, seen):
    shown = _picture(
        ax, seen.confidence, "confidence (2DPAM)", cmap="gray", vmin=0, vmax=1
    )
    ax.figure.colorbar(shown, ax=ax, fraction=0.046, pad=0.02)
