"""The folder of reference numbers beside the checkout, or None where it is absent."""

from pathlib import Path

import pytest

_FOLDER = Path(__file__).resolve().parents[2] / "shared"
SHARED = _FOLDER if _FOLDER.is_dir() else None

needs_shared = pytest.mark.skipif(
    SHARED is None, reason="the reference numbers lie beside a developer's checkout"
)
