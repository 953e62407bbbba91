"""The safetensors format, which needs neither torch nor its own package.

A file is the header's length (8 bytes, little endian), the header (JSON: name ->
dtype, shape and the range of its bytes) and the tensors' bytes one after another.
"""

import contextlib
import json
import math

import ml_dtypes
import numpy as np

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_LONGEST_HEADER = 100_000_000  # the format's own limit


@contextlib.contextmanager
def open_safetensors(path):
    """The tensors of a safetensors file. The format has no checksum.

    Args:
        path: `pathlib.Path`.

    Yields:
        A pair: dict of name -> shape, and the function that reads a name.

    Raises:
        ValueError: a damaged file.
    """
    try:
        entries, start = _read_header(path)
        _check_entries(entries, path.stat().st_size - start)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ValueError(
            f"{path.name} is damaged, or no safetensors file: {error!r}. Download it "
            f"again. Received: {str(path)!r}"
        ) from error

    def read(name):
        entry = entries[name]
        dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
        if not math.prod(shape):
            return np.zeros(shape, dtype)
        offset = start + entry["data_offsets"][0]
        # A scalar's map is one of a single value: memmap would take () for "all".
        mapped = np.memmap(path, dtype, "r", offset, shape or (1,))
        return np.asarray(mapped).reshape(shape)

    yield {name: tuple(entry["shape"]) for name, entry in entries.items()}, read


def _read_header(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_LONGEST_HEADER, path.stat().st_size - 8):
            raise ValueError(f"the header cannot be {length} bytes long")
        entries = json.loads(file.read(length).decode("utf-8"))
    entries.pop("__metadata__", None)
    return entries, 8 + length


def _check_entries(entries, size):
    """Every tensor has as many bytes as its shape needs, and none is left over."""
    end = 0
    for name, entry in sorted(
        entries.items(), key=lambda item: item[1]["data_offsets"]
    ):
        first, last = entry["data_offsets"]
        needed = math.prod(entry["shape"]) * np.dtype(DTYPES[entry["dtype"]]).itemsize
        if any(length < 0 for length in entry["shape"]) or last - first != needed:
            raise ValueError(f"tensor {name!r} does not fit its bytes")
        if first != end:
            raise ValueError(f"tensor {name!r} does not follow the one before it")
        end = last
    if end != size:
        raise ValueError(f"the tensors are {end} bytes, the file has {size} for them")
