"""PyTorch's .pth files, read without ever running what a pickle asks for."""

import contextlib
import re
import tempfile
from pathlib import Path

import numpy as np

from keras_danet.checkpoints.tensors import find_state_dict, to_numpy

# Bytes that may be read from a mapped file before it is mapped afresh.
_RESIDENT = 16 * 2**20


@contextlib.contextmanager
def open_torch_zip(path):
    """The tensors of a file that `torch.save` wrote, a zip whose checksums hold.

    Only `torch.load(weights_only=True)` reads it, with NumPy's float64 scalar as the
    one addition: the official training script stores its best score as one. Anything
    else in the pickle is refused, not run.

    Args:
        path: `pathlib.Path`.

    Yields:
        A pair: dict of name -> shape, and the function that reads a name.

    Raises:
        ImportError: torch is not installed.
        ValueError: a damaged file, or a pickle that asks for more than tensors.
    """
    _import_torch(path)
    yield _map(path)


@contextlib.contextmanager
def open_torch_legacy(path):
    """The same of a file from before PyTorch 1.6, which is no zip.

    It has no checksum: of a damaged one only the structure is checked, and a changed
    digit of a weight stays unseen.
    """
    torch = _import_torch(path)
    state_dict = find_state_dict(_load(path, map_location=_fill_with_nan), path.name)
    _check_storages(state_dict, path)
    # Such a file cannot be mapped, and held in memory beside the model it would take
    # too much.
    with tempfile.TemporaryDirectory() as folder:
        mappable = Path(folder) / "checkpoint.pth"
        torch.save(dict(state_dict), mappable)
        del state_dict
        yield _map(mappable)


def _import_torch(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"{path.name} is a PyTorch file, and torch is not installed: `pip install "
            "keras-danet[torch]`. Or, where torch is, save its state dict as "
            "`.safetensors` or `.npz`, which need none."
        ) from error
    return torch


def _map(path):
    """The (shapes, read) of a zip file, mapped into memory.

    What was read stays in memory for as long as the mapping lives, so it is dropped
    and made again after every few tensors.
    """
    tensors, resident = _mapped(path), 0
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}

    def read(name):
        nonlocal tensors, resident
        if resident and resident + tensors[name].nbytes > _RESIDENT:
            tensors, resident = None, 0
            tensors = _mapped(path)
        resident += tensors[name].nbytes
        return to_numpy(tensors[name])

    return shapes, read


def _mapped(path):
    content = _load(path, map_location="cpu", mmap=True)
    return dict(find_state_dict(content, path.name))


def _load(path, **arguments):
    import torch

    scalar = np.float64(0).__reduce__()[0]
    allowed = [
        # Under both names: NumPy 2 moved the function.
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Float64DType,
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, weights_only=True, **arguments)
    except Exception as error:
        message = str(error) or type(error).__name__
        raise ValueError(_reason(path, message)) from error


def _reason(path, message):
    asked = re.search(r"GLOBAL (\S+)|but got <class '(.+?)'>", message)
    if asked:
        return (
            f"{path.name} was refused, and nothing of it was run: its pickle asks for "
            f"{asked.group(1) or asked.group(2)}. A checkpoint needs nothing but "
            "tensors, numbers, strings and NumPy's float64. If you trust its source, "
            "load it with `torch.load(..., weights_only=False)` and give the state "
            f"dict itself. Received: {str(path)!r}"
        )
    return (
        f"{path.name} is not a PyTorch checkpoint, or damaged: download it again, and "
        f"compare its size. PyTorch says: {_first_line(message)!r}. "
        f"Received: {str(path)!r}"
    )


def _first_line(message):
    said = message.partition("WeightsUnpickler error:")[2] or message
    return said.strip().partition("\n")[0]


def _fill_with_nan(storage, location):
    """A legacy file's storage before it is read: what nothing fills is found as NaN."""
    return storage.fill_(255)


def _check_storages(state_dict, path):
    """Every tensor is its whole storage, and no other tensor's.

    So `torch.save` writes a state dict; a legacy file where it is otherwise is damaged
    in the offsets, strides or keys of its pickle.
    """
    import torch

    seen = set()
    for name, tensor in state_dict.items():
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.nbytes and tensor.storage_offset() == 0
        dense = tensor.is_contiguous() or (
            tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
        )
        if not (whole and dense) or storage.data_ptr() in seen:
            raise ValueError(
                f"{path.name} is damaged, or its tensors share memory: in this old "
                "format, which has no checksum, both look alike. Download it again, or "
                "load it with PyTorch and save clones of its tensors. "
                f"Received: {str(path)!r}, tensor {name!r}"
            )
        seen.add(storage.data_ptr())
