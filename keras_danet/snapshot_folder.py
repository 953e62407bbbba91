"""A folder of snapshots in which nothing half-written can be seen.

A snapshot is the folder "step-00000742", written under another name, flushed to the
disk and only then renamed. What an interruption leaves begins with a dot and is swept
away at the next start.
"""

import contextlib
import os
import shutil
import uuid
from pathlib import Path

from keras_danet.flushing import flush, flush_names

STATE = "state.json"
MODEL = "model.keras"
_HIDDEN = ".unfinished-"


class SnapshotFolder:
    """The snapshots of one training.

    Args:
        path: str or path; made when the first snapshot is written.

    Raises:
        ValueError: there is a file of this name.
    """

    def __init__(self, path):
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(
                "Snapshots need a folder of their own; this is a file. "
                f"Received: {self.path}"
            )

    def steps(self):
        """The steps of which there is a snapshot, in order."""
        numbers = (e.name.removeprefix("step-") for e in self.path.glob("step-*"))
        return sorted(int(number) for number in numbers if number.isdecimal())

    def at(self, step):
        """The path of the snapshot of `step`."""
        return self.path / f"step-{step:08d}"

    def newest(self):
        """The path of the last snapshot, or None."""
        steps = self.steps()
        return self.at(steps[-1]) if steps else None

    @contextlib.contextmanager
    def writing(self, step):
        """A folder to write to, which becomes the snapshot of `step` if all goes well.

        Raises:
            OSError: the disk is full or not writable; what is there stays as it is.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        hidden = self._hidden()
        try:
            hidden.mkdir()
            yield hidden
            flush(hidden)
            self._hide(step)
            os.replace(hidden, self.at(step))
            flush_names(self.path)
        except OSError as error:
            newest = self.newest()
            raise OSError(
                error.errno,
                f"The snapshot of step {step} could not be written to {self.path}: "
                f"{error}. Free space there or give another folder, and run the same "
                "command again; it goes on from "
                f"{newest.name if newest else 'the beginning'}",
            ) from error
        finally:
            shutil.rmtree(hidden, ignore_errors=True)

    def keep(self, steps):
        """Deletes all snapshots but those of `steps`."""
        for step in set(self.steps()) - set(steps):
            self._hide(step)

    def sweep(self):
        """Deletes what an interruption left."""
        for entry in self.path.glob(f"{_HIDDEN}*"):
            shutil.rmtree(entry, ignore_errors=True)

    def _hidden(self):
        return self.path / f"{_HIDDEN}{uuid.uuid4().hex}"

    def _hide(self, step):
        """Deletes the snapshot of `step`, at one blow as far as others can see."""
        if self.at(step).exists():
            hidden = self._hidden()
            os.replace(self.at(step), hidden)
            shutil.rmtree(hidden, ignore_errors=True)
