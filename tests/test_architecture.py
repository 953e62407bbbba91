"""One chain of imports, everything else a leaf; heavy libraries only where needed."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import keras_danet

pytestmark = pytest.mark.once

PACKAGE = Path(keras_danet.__file__).parent
CHAIN = ["layers", "heads", "models", "checkpoints"]
JOINED_AT_MODELS = {"backbones", "dilation", "segmentation_model"}
# Modules that work with anybody's model or tensors: nothing of the chain in them.
LEAVES = {
    "losses", "metrics", "optimizers", "replicas", "label_check", "data",
    "inference", "evaluation", "explanation", "visualization", "profiling", "export",
    "images", "recipes", "snapshots", "snapshot_folder", "flushing",
}  # fmt: skip
HEAVY = {"torch", "matplotlib", "tensorflow_datasets", "onnx", "openvino", "gradio"}
TENSORFLOW_AT_THE_TOP = {"data", "export"}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield (parts[0] if parts[0] != "__init__" else ""), path


def imports(tree, top_only):
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path):
    for name in imports(ast.parse(path.read_text()), top_only=False):
        if name.startswith("keras_danet."):
            yield name.split(".")[1]


def test_the_chain_never_points_up():
    for module, path in modules():
        used = set(own_imports(path)) - {module}
        if module in CHAIN:
            above = set(CHAIN[CHAIN.index(module) + 1 :])
            assert not used & above, f"{path.name} imports {used & above}"
        if module in LEAVES:
            forbidden = {*CHAIN, *JOINED_AT_MODELS, "finetuning"}
            assert not used & forbidden, f"{path.name} imports {used & forbidden}"
        if module in JOINED_AT_MODELS:
            assert not used & {"heads", "models", "checkpoints"}, path.name


def test_heavy_libraries_are_imported_inside_functions():
    for module, path in modules():
        tree = ast.parse(path.read_text())
        top = {name.split(".")[0] for name in imports(tree, top_only=True)}
        if path.name == "builders.py":
            # Its classes are tfds builders; nothing imports it but on request.
            top.discard("tensorflow_datasets")
        assert not top & HEAVY, f"{path.name} imports {top & HEAVY} at its top"
        if module not in TENSORFLOW_AT_THE_TOP:
            assert "tensorflow" not in top, path.name
        asserts = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)]
        assert not asserts, f"{path.name}: assert in lines {asserts}"


def test_import_pulls_in_nothing_heavy():
    code = (
        "import sys, keras_hub; before = set(sys.modules); import keras_danet; "
        f"print(sorted(({HEAVY!r} | {{'tensorflow'}}) & (set(sys.modules) - before)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def public_objects():
    for name in keras_danet.__all__:
        value = getattr(keras_danet, name)
        if not inspect.ismodule(value) and not isinstance(value, str):
            yield name, value
    for name in keras_danet.layers.__all__:
        yield f"layers.{name}", getattr(keras_danet.layers, name)
    data = importlib.import_module("keras_danet.data")
    for name in data.__all__:
        if callable(getattr(data, name)):
            yield f"data.{name}", getattr(data, name)


@pytest.mark.parametrize(("name", "value"), list(public_objects()))
def test_every_public_name_is_documented_with_an_example(name, value):
    docstring = inspect.getdoc(value)
    assert docstring and ">>>" in docstring, name


def test_registered_names_are_the_frozen_ones():
    import keras

    frozen = [
        keras_danet.SegmentationModel, keras_danet.SGD, keras_danet.CrossEntropy,
        keras_danet.MeanIoU, keras_danet.PixelAccuracy,
        *(getattr(keras_danet.layers, name) for name in keras_danet.layers.__all__),
    ]  # fmt: skip
    for value in frozen:
        name = keras.saving.get_registered_name(value)
        assert name == f"keras_danet>{value.__name__}"


def test_files_are_small_enough_to_read():
    for _, path in modules():
        lines = len(path.read_text().splitlines())
        assert lines <= 320, f"{path.name} has {lines} lines; mostly under 200 is meant"
