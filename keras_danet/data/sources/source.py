"""What a published data set consists of."""

from collections.abc import Callable
from typing import NamedTuple


class Source(NamedTuple):
    """The files of a data set and how to read its labels.

    Attributes:
        title: As people call it.
        splits: Names of its parts.
        archives: {file to download: address}.
        examples: (list of folders, split) -> list of (image file, label file); the
            folders together hold what the archives unpack to.
        read_label: label file -> class ids uint8 (H, W), 255 ignored.
    """

    title: str
    splits: tuple
    archives: dict
    examples: Callable
    read_label: Callable


def find(roots, names, archive, address):
    """The first of `names` below one of the folders `roots`.

    Raises:
        ValueError: There is none; says which archive holds it and where to get it.
    """
    for root in roots:
        for name in names:
            if (root / name).exists():
                return root / name
    raise ValueError(
        f"{names[0]} is missing in {roots[0]}. It comes with {archive}: get that from "
        f"{address} and unpack it there."
    )


def partners(examples, archive, address):
    """`examples` itself, a list of (image, label) files, if all of them exist.

    Raises:
        ValueError: There are none, or files are missing; names the first.
    """
    missing = [path for pair in examples for path in pair if not path.exists()]
    if examples and not missing:
        return examples
    what = f"{missing[0]} is missing" if missing else "There are no examples"
    more = f", and {len(missing) - 1} other files" if len(missing) > 1 else ""
    raise ValueError(
        f"{what}{more}. Unpack {archive} from {address} again and completely; a "
        "download may have stopped early."
    )


def names_in(path):
    """The names in an official list file, one in the first column of each line."""
    return [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
