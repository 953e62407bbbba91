"""Training curves from a Keras history or a log file."""

import csv
from pathlib import Path

import numpy as np


def training_curves(history, path=None):
    """Loss, scores and everything else that was logged, over the epochs.

    Quantities of one kind share a panel: all losses (with `val_` dashed), then all
    scores (`mean_iou`, `pixel_accuracy`, ...), then each other one, such as the
    learning rate.

    Args:
        history: what `fit` returned, its dict name -> values per epoch, or the path of
            a `keras.callbacks.CSVLogger` file.
        path: where to save the figure as well, or None.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: nothing was logged, or the file is no log.

    Example:

    >>> history = model.fit(batches, steps_per_epoch=100, epochs=10)
    >>> training_curves(history, "curves.png")
    """
    from matplotlib.figure import Figure

    panels = _panels(_logged(history))
    figure = Figure(figsize=(4.6 * len(panels), 3.6), layout="constrained")
    for axes, (title, curves) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _draw(axes, title, curves)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return figure


def _draw(axes, title, curves):
    colors = {}
    for name, values in curves.items():
        base = name.removeprefix("val_")
        color = colors.setdefault(base, f"C{len(colors) % 10}")
        epochs = np.arange(1, len(values) + 1)
        known = np.isfinite(values)  # validation may run every few epochs only
        style = ".--" if name != base else ".-"
        axes.plot(epochs[known], values[known], style, color=color, label=name)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    if list(curves) != [title]:
        axes.legend(fontsize=8)


def _panels(logged):
    """{title: {name: values}}, losses first, then scores."""
    panels = {"loss": {}, "score": {}}
    for name, values in logged.items():
        base = name.removeprefix("val_")
        if base.endswith("loss"):
            panels["loss"][name] = values
        elif any(word in base for word in ("iou", "accuracy", "dice")):
            panels["score"][name] = values
        else:
            panels.setdefault(base.replace("_", " "), {})[name] = values
    return {title: curves for title, curves in panels.items() if curves}


def _logged(history):
    if isinstance(history, (str, Path)):
        logged = _read_log(Path(history))
    else:
        logged = getattr(history, "history", history)
    logged = {name: np.asarray(values, float) for name, values in logged.items()}
    logged = {name: values for name, values in logged.items() if values.size}
    if not logged:
        raise ValueError(
            "There is nothing to draw. Expected the history of at least one epoch. "
            f"Received: {history!r}"
        )
    return logged


def _read_log(path):
    try:
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        columns = [name for name in (rows[0] if rows else {}) if name != "epoch"]
        return {name: [float(row[name] or "nan") for row in rows] for name in columns}
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is no log of `keras.callbacks.CSVLogger`. Received: {error}"
        ) from error
