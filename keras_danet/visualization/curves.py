"""Training curves from a Keras history or a log file."""

import csv
from pathlib import Path

import numpy as np

_COLUMNS = 3
# Title of a panel: how the names end that share it.
_KINDS = {
    "loss": ("loss",),
    "score": ("iou", "accuracy", "dice"),
    "attention gamma": ("_gamma",),
    "attention entropy": ("_entropy",),
    "gate saturation": ("_saturation",),
    "gate mean": ("_mean",),
}


def training_curves(history, path=None):
    """Loss, scores and everything else that was logged, over the epochs.

    Quantities of one kind share a panel: all losses (with `val_` dashed), then all
    scores (`mean_iou`, `pixel_accuracy`, ...), what `AttentionHealth` logs, and each
    other one, such as the learning rate, by itself.

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
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.4 * rows), layout="constrained")
    for number, (title, curves) in enumerate(panels.items(), 1):
        _draw(figure.add_subplot(rows, columns, number), title, curves)
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
        kinds = [title for title, words in _KINDS.items() if base.endswith(words)]
        title = kinds[0] if kinds else base.replace("_", " ")
        panels.setdefault(title, {})[name] = values
    return {title: curves for title, curves in panels.items() if curves}


def _logged(history):
    if isinstance(history, (str, Path)):
        logged = _read_log(Path(history))
    else:
        logged = getattr(history, "history", history)
    logged = {name: np.asarray(values, float) for name, values in logged.items()}
    logged = {n: values for n, values in logged.items() if np.isfinite(values).any()}
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
        # CSVLogger writes NA for what an epoch did not log, such as a validation.
        return {
            name: [float(row[name].replace("NA", "nan")) for row in rows]
            for name in columns
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no log of `keras.callbacks.CSVLogger`. Received: {error}"
        ) from error
