"""Exports from JAX and PyTorch: the model goes as a `.keras` file to TensorFlow.

The parent writes a folder (the model, its answers on two images, what to do), and this
file, run as a program in a process whose Keras backend is TensorFlow, does it:

    python -m keras_danet.export.second_process FOLDER
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

_SHOWN_LINES = 25


def write(model, path, format, settings):
    """As `writers.write`, for a model of any backend.

    The report has "backend_logit_difference" too, the largest between this backend and
    TensorFlow.

    Raises:
        ValueError: TensorFlow, or the artefact, gives other answers than the model.
        RuntimeError: the second process failed; the end of its output is told.
    """
    settings = dict(settings)
    calibration_images = settings.pop("calibration_images", None)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model.save(folder / "model.keras")
        np.savez(folder / "answers.npz", *_answers(model))
        if calibration_images is not None:
            np.savez(folder / "calibration.npz", *calibration_images)
        task = {
            "path": str(path),
            "format": format,
            "settings": settings,
            "modules": _modules_of(model),
        }
        (folder / "task.json").write_text(json.dumps(task))
        return _run(folder)


def _answers(model):
    """The model's logits on two scenes."""
    from keras_danet.export.comparison import scenes_for

    return [model.predict_on_batch(batch) for batch in scenes_for(model)[:2]]


def _modules_of(model):
    """The modules to import before the file can be loaded: custom layers' homes."""
    modules = {type(part).__module__ for part in (model, *model.layers)}
    known = {"keras", "keras_hub", "__main__"}
    return sorted(name for name in modules if name.split(".")[0] not in known)


def _run(folder):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # This process may hold all of the GPU's memory; an export needs none.
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    outcome = folder / "outcome.json"
    if ended.returncode or not outcome.exists():
        tail = "\n".join(ended.stdout.splitlines()[-_SHOWN_LINES:])
        raise RuntimeError(
            "The export failed in the second process, which does it in TensorFlow "
            f"(exit code {ended.returncode}). Its last words:\n{tail}"
        )
    outcome = json.loads(outcome.read_text())
    if "error" in outcome:
        raise ValueError(outcome["error"])
    return outcome["report"]


def _do(folder):
    """What the second process does."""
    import keras_danet  # noqa: F401  registers its layers
    from keras_danet.export.answers import check_logits
    from keras_danet.export.writers import write

    task = json.loads((folder / "task.json").read_text())
    for module in task["modules"]:
        importlib.import_module(module)
    settings = task["settings"]
    if (folder / "calibration.npz").exists():
        settings["calibration_images"] = _arrays(folder / "calibration.npz")
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    try:
        off = check_logits(
            _arrays(folder / "answers.npz"), _answers(model), model, "TensorFlow"
        )
        report = write(model, task["path"], task["format"], settings)
        outcome = {"report": {**report, "backend_logit_difference": off}}
    except ValueError as error:
        outcome = {"error": str(error)}
    (folder / "outcome.json").write_text(json.dumps(outcome))


def _arrays(path):
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


if __name__ == "__main__":
    _do(Path(sys.argv[1]))
