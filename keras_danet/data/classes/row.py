"""One class of a data set."""

from typing import NamedTuple


class ClassRow(NamedTuple):
    """A line of a class table.

    Attributes:
        name: As the data set spells it.
        source_id: The value in the data set's label files.
        train_id: The class id 0..K-1 that models see; 255: ignored.
        color: (red, green, blue) in which the field draws the class.
    """

    name: str
    source_id: int
    train_id: int
    color: tuple[int, int, int]
