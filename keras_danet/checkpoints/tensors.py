"""What every kind of source is read as: the tensors of one state dict."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np


class Tensors(NamedTuple):
    """Named tensors, read one at a time.

    Attributes:
        origin: str, the file or "the mapping", for messages.
        shapes: dict of name -> tuple; a `module.` prefix is taken off.
        read: function of a name that returns the array. Drop an array before the next
            one is read: together they may be larger than the memory.
    """

    origin: str
    shapes: dict[str, tuple]
    read: Callable[[str], np.ndarray]


def name_tensors(origin, shapes, read):
    """`Tensors` without the `module.` prefix that `DataParallel` puts before names."""
    raw = {}
    for name in shapes:
        bare = name
        while bare.startswith("module."):
            bare = bare.removeprefix("module.")
        if bare in raw:
            raise ValueError(
                f"{origin} holds a tensor twice, with and without the prefix "
                f'"module.". Received: {name!r} and {raw[bare]!r}'
            )
        raw[bare] = name
    return Tensors(
        origin,
        {bare: tuple(shapes[name]) for bare, name in raw.items()},
        lambda bare: read(raw[bare]),
    )


def find_state_dict(content, origin):
    """The names and tensors in `content`: itself, or its entry "state_dict".

    Raises:
        ValueError: there are none.
    """
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{origin} does not hold a mapping of names to tensors; save "
            f"`model.state_dict()`. Received: {type(content).__name__}"
        )
    found = content.get("state_dict", content)
    if not isinstance(found, Mapping) or not found:
        raise ValueError(
            f"{origin} holds no tensors where a state dict should be. "
            f"Received: {type(found).__name__}, entries {_some(content)}"
        )
    strange = [
        name
        for name, value in found.items()
        if not (isinstance(name, str) and hasattr(value, "shape"))
    ]
    if strange:
        raise ValueError(
            f"{origin} is no state dict: not every entry is a tensor with a name. A "
            'state dict inside another mapping must be its entry "state_dict"; '
            "otherwise pick it out and give that mapping. "
            f"Received: entries {_some(strange)} of {_some(content)}"
        )
    return found


def to_numpy(tensor):
    """An array, or a framework's tensor, as a NumPy array of at least 32 bits."""
    if hasattr(tensor, "detach"):  # PyTorch
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # NumPy has no bfloat16
        return tensor.numpy()
    array = np.asarray(tensor)
    half = array.dtype.itemsize == 2 and array.dtype.kind not in "iu"
    return array.astype("float32") if half else array


def _some(names):
    names = [str(name) for name in names]
    more = f", ... ({len(names)} in all)" if len(names) > 8 else ""
    return f"{', '.join(map(repr, names[:8]))}{more}"
