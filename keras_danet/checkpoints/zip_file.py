"""Zip archives: what .npz and PyTorch's .pth are; their checksums."""

import contextlib
import zipfile

import numpy as np


def verify_zip(path):
    """Read every record of a zip and compare its checksum.

    Args:
        path: `pathlib.Path`.

    Raises:
        ValueError: a record, or the zip's own table, is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:
        raise ValueError(
            f"{path.name} is damaged: its zip records cannot be read ({error}). "
            f"Download it again. Received: {str(path)!r}"
        ) from error
    if damaged is not None:
        raise ValueError(
            f"{path.name} is damaged: the checksum of its record {damaged!r} does not "
            f"match. Download it again. Received: {str(path)!r}"
        )


@contextlib.contextmanager
def open_npz(path):
    """The tensors of a file that `numpy.savez` wrote, a zip whose checksums hold.

    A pickle in it is refused.

    Args:
        path: `pathlib.Path`.

    Yields:
        A pair: dict of name -> shape, and the function that reads a name.

    Raises:
        ValueError: a record holds Python objects, or no array.
    """
    with np.load(path, allow_pickle=False) as archive:

        def read(name):
            try:
                return archive[name]
            except Exception as error:
                raise ValueError(
                    f"{path.name} holds no plain array {name!r}: {error} "
                    f"Received: {str(path)!r}"
                ) from error

        yield {name: read(name).shape for name in archive.files}, read
