"""A checkpoint, file or mapping, as named tensors."""

import contextlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from keras_danet.checkpoints.safetensors_file import open_safetensors
from keras_danet.checkpoints.tensors import find_state_dict, name_tensors, to_numpy
from keras_danet.checkpoints.torch_file import open_torch_legacy, open_torch_zip
from keras_danet.checkpoints.zip_file import open_npz, verify_zip

# How a PyTorch file of the older format begins: a pickle of a certain number.
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19."


@contextlib.contextmanager
def open_tensors(source):
    """The tensors of a checkpoint; the format is told by the content, not the name.

    Args:
        source: path of a PyTorch (.pth, .pth.tar), .safetensors or .npz file, or a
            mapping of names to arrays; bare, or inside an entry "state_dict".

    Yields:
        `Tensors`; a file is closed afterwards.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a PyTorch file, and torch is not installed.
        TypeError: the source is neither a path nor a mapping.
        ValueError: a damaged file, one of another kind, or one with other content.
    """
    if isinstance(source, Mapping):
        found = find_state_dict(source, "The mapping")
        shapes = {name: value.shape for name, value in found.items()}
        yield name_tensors("The mapping", shapes, lambda name: to_numpy(found[name]))
        return
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            "A checkpoint is a path, or a mapping of names to arrays. "
            f"Received: source={source!r}"
        )
    path = Path(source)
    _check_path(path)
    with _opener(path)(path) as (shapes, read):
        yield name_tensors(path.name, shapes, lambda name: to_numpy(read(name)))


def _check_path(path):
    if path.is_dir():
        raise ValueError(
            "A checkpoint is one file; a folder was given. Received: "
            f"source={str(path)!r}"
        )
    if not path.exists():
        raise FileNotFoundError(
            "There is no such file. A checkpoint on the web must be downloaded first. "
            f"Received: source={str(path)!r}"
        )


def _opener(path):
    with open(path, "rb") as file:
        start = file.read(1024)
    if start.startswith(b"\x80") and _LEGACY in start[:32]:
        return open_torch_legacy
    if start.startswith(b"PK"):
        return _opener_of_zip(path)
    if start[8:9] == b"{" or path.suffix == ".safetensors":
        return open_safetensors
    raise ValueError(
        f"{path.name} is no checkpoint that can be read: {_guess(start)}. Readable are "
        "PyTorch files (.pth, .pth.tar), .safetensors and .npz. "
        f"Received: source={str(path)!r}, which begins with {start[:16]!r}"
    )


def _opener_of_zip(path):
    verify_zip(path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("constants.pkl") for name in names):
        raise ValueError(
            f"{path.name} is a TorchScript program, not a state dict. Load it with "
            "`torch.jit.load` and give its `.state_dict()`. "
            f"Received: source={str(path)!r}"
        )
    if any(name.endswith("data.pkl") for name in names):
        return open_torch_zip
    if names and all(name.endswith(".npy") for name in names):
        return open_npz
    raise ValueError(
        f"{path.name} is a zip archive, but neither PyTorch's nor NumPy's. A `.keras` "
        "file is opened by `keras.saving.load_model`; anything else, unpack first. "
        f"Received: source={str(path)!r} with {', '.join(names[:5]) or 'no records'}"
    )


def _guess(start):
    if not start:
        return "it is empty"
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, so the download did not work"
    if start.startswith(b"\x89HDF"):
        return "it is an HDF5 file, which Keras reads with `model.load_weights`"
    if start.startswith(b"\x80"):
        return "it is a plain pickle, which could run code and is never loaded"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself"
    if text.isascii() and b"\0" not in text:
        return "it is a text file"
    return "its format is unknown, or it is damaged at its beginning"
