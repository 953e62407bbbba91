"""What the doctor found, as text, numbers and a picture."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

SHOWN = 5  # files named with each finding


class Finding(NamedTuple):
    """One thing that is wrong or worth knowing.

    Attributes:
        kind: Short name, e.g. `"color masks"`, `"missing pairs"`.
        level: `"error"` (training would fail or learn nonsense), `"warning"` or
            `"note"`.
        message: What was found, with values.
        cure: What to do about it.
        files: Files, or numbers of examples, it was found in.
    """

    kind: str
    level: str
    message: str
    cure: str
    files: tuple = ()

    def __str__(self):
        lines = [f"{self.level.upper()}  {self.kind}: {self.message}"]
        lines += [f"    in {name}" for name in self.files[:SHOWN]]
        if len(self.files) > SHOWN:
            lines.append(f"    and {len(self.files) - SHOWN} more")
        return "\n".join([*lines, f"    -> {self.cure}"])


@dataclass
class Report:
    """The doctor's report. `print` it, or use its parts.

    Attributes:
        name: What was checked.
        num_classes: K.
        examples: Number of examples that could be read.
        findings: List of `Finding`, errors first.
        label_map: Proposed mapping for `from_folder(label_map=...)`, or `None`. All
            that follows is of the labels as this mapping makes them.
        pixels: int64 (K,), pixels of each class.
        images: int64 (K,), images each class occurs in.
        class_weights: float32 (K,), by median frequency, for `CrossEntropy`.
        class_names: List of K names.
        samples: List of (image, label) for the contact sheet.
    """

    name: str
    num_classes: int
    examples: int
    findings: list
    label_map: dict | None
    pixels: np.ndarray
    images: np.ndarray
    class_weights: np.ndarray
    class_names: list
    samples: list = field(repr=False)

    @property
    def ok(self):
        """Whether nothing stands in the way of training."""
        return not any(finding.level == "error" for finding in self.findings)

    def __str__(self):
        head = f"{self.name}: {self.examples} examples, {self.num_classes} classes. "
        found = "\n".join(map(str, self.findings)) or "Nothing to complain about."
        parts = [head + ("" if self.ok else "NOT ready to train."), found]
        if self.label_map is not None:
            parts.append(
                f"Proposed mapping, and the classes with it:\n"
                f"    label_map={self.label_map}"
            )
        return "\n\n".join([*parts, self._table()])

    def _table(self):
        width = max(map(len, self.class_names))
        total = max(self.pixels.sum(), 1)
        lines = [f"  id  {'class':{width}}  share of pixels  images  suggested weight"]
        for index, name in enumerate(self.class_names):
            lines.append(
                f"{index:4}  {name:{width}}  {100 * self.pixels[index] / total:13.3f} %"
                f"  {self.images[index]:6}  {self.class_weights[index]:16.3f}"
            )
        return "\n".join(lines)

    def contact_sheet(self, path=None):
        """A picture of some examples, each beside its colored label.

        Args:
            path: Where to save it as well, or `None`.

        Returns:
            uint8 (h, w, 3).

        Raises:
            ValueError: No example could be read.
        """
        from keras_danet import visualization

        if not self.samples:
            raise ValueError(
                f"There is nothing to draw: no example of {self.name} could be read. "
                "Mend the errors of the report first."
            )
        images, labels = zip(*self.samples, strict=True)
        known = all(((i < self.num_classes) | (i == 255)).all() for i in labels)
        colors = self.class_names if known else None
        return visualization.grid(images, labels, colors=colors, path=path)
