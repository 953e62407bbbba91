"""What is being written lies in a hidden folder until it is complete."""

import contextlib
import os
import shutil
import uuid
from pathlib import Path

from keras_danet.flushing import flush, flush_names


@contextlib.contextmanager
def unfinished(path, overwrite):
    """A place to write an artefact to, which moves to `path` if all goes well.

    Everything written beside the artefact (an OpenVINO file's weights, a model card)
    moves along. What stood there before is replaced at the very end.

    Args:
        path: the artefact's path, a file or a folder.
        overwrite: bool, whether what is there may be replaced.

    Yields:
        A path of the same name in a hidden folder beside.

    Raises:
        ValueError: something is there and may not be replaced.
    """
    path = Path(path).absolute()
    _check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.parent / f".unfinished-{uuid.uuid4().hex}"
    hidden.mkdir()
    try:
        yield hidden / path.name
        flush(hidden)
        # The artefact last: once it is there, all is there.
        entries = sorted(hidden.iterdir(), key=lambda e: e.name == path.name)
        for entry in entries:
            _check_free(path.parent / entry.name, overwrite)
        for entry in entries:
            _put(entry, path.parent / entry.name)
        flush_names(path.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _put(entry, target):
    """Moves `entry` to `target`; what it replaces comes back if that fails."""
    if not (target.is_dir() or (entry.is_dir() and target.exists())):
        os.replace(entry, target)
        return
    # A folder is not replaced at one blow.
    replaced = entry.with_name(f"replaced-{uuid.uuid4().hex}")
    os.replace(target, replaced)
    try:
        os.replace(entry, target)
    except BaseException:
        os.replace(replaced, target)
        raise


def _check_free(path, overwrite):
    if overwrite or not path.exists():
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    raise ValueError(
        f"There is something at {path} already. Give another path, or pass "
        "`overwrite=True` to replace it."
    )
