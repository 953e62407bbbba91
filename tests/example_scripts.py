"""An example's script in this process, as a user would run it."""

import importlib.util
import sys


def load(path):
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(path, monkeypatch, *arguments):
    """Its `main` with these arguments."""
    module = load(path)
    monkeypatch.setattr(sys, "argv", [path.name, *map(str, arguments)])
    module.main()
