"""How often each class occurs, and class weights that make up for it."""

import numpy as np

IGNORED = 255


def class_weights(dataset, num_classes, method="median_frequency"):
    """Weights for `CrossEntropy(class_weights=...)` from the pixels of a data set.

    `"median_frequency"`: weight = median of all frequencies / own frequency, where the
    frequency of a class is its pixels / all labelled pixels of the images it occurs in.
    `"enet"`: weight = 1 / ln(1.02 + share), where the share is its pixels / all
    labelled pixels; between 1.4 and 50.5, so milder for rare classes.

    Args:
        dataset: `tf.data.Dataset` of `(image, label)`, label integer (H, W) or
            (H, W, 1); read once to its end, so pass `dataset.take(500)` of a large one.
        num_classes: Number of classes K. 255 is ignored.
        method: `"median_frequency"` or `"enet"`.

    Returns:
        float32 (K,). A class that never occurs has weight 1.

    Raises:
        ValueError: An unknown method, a data set of batches or one that never ends,
            or a label out of range; the message gives the value and the number of the
            example.

    Example:
        >>> weights = keras_danet.data.class_weights(train, 11)
        >>> model.compile(loss=keras_danet.CrossEntropy(class_weights=weights))

    Reference:
        Eigen, Fergus: Predicting Depth, Surface Normals and Semantic Labels with a
        Common Multi-Scale Convolutional Architecture. ICCV 2015
        (median frequency). Paszke et al.: ENet. 2016.
    """
    check_single(dataset)
    check_ends(dataset)
    count = PixelCount(num_classes)
    for number, (_, label) in enumerate(dataset.as_numpy_iterator()):
        count.add(label, f"example {number} of the data set")
    return count.weights(method)


def check_single(dataset):
    """Raises a ValueError for a data set of anything but single (image, label)."""
    spec = getattr(dataset, "element_spec", None)
    pair = isinstance(spec, tuple) and len(spec) == 2
    ranks = [part.shape.rank for part in spec] if pair else []
    label = pair and spec[1].dtype.is_integer
    if not label or ranks[0] not in (None, 3) or ranks[1] not in (None, 2, 3):
        raise ValueError(
            "`dataset` must be a tf.data.Dataset of single examples (image, label), "
            "label integer (H, W) or (H, W, 1); undo batches with dataset.unbatch(). "
            f"Received: {type(dataset).__name__ if spec is None else spec}"
        )


def check_ends(dataset):
    """Raises a ValueError for a data set that could be read forever."""
    if dataset.cardinality() == -1:  # tf.data.INFINITE_CARDINALITY
        raise ValueError(
            "`dataset` never ends. Pass it before `prepare(training=True)` or "
            "`repeat()`, or a part: dataset.take(100). "
            f"Received: {dataset}"
        )


class PixelCount:
    """Pixels of each class, over all images and over the images it occurs in.

    Attributes:
        pixels: int64 (K,).
        images: int64 (K,), images the class occurs in.
        image_pixels: int64 (K,), labelled pixels of those images.
    """

    def __init__(self, num_classes):
        if not 1 <= num_classes <= IGNORED:
            raise ValueError(
                f"`num_classes` must be 1 to {IGNORED}: class ids are the bytes below "
                f"{IGNORED}, which is ignored. Received: num_classes={num_classes}"
            )
        self.pixels = np.zeros(num_classes, "int64")
        self.images = np.zeros(num_classes, "int64")
        self.image_pixels = np.zeros(num_classes, "int64")

    def add(self, label, name):
        """Counts one label map; `name` is for the error."""
        label = np.ravel(label)
        label = label[label != IGNORED]
        beyond = np.unique(label[(label < 0) | (label >= len(self.pixels))])
        if len(beyond):
            raise ValueError(
                f"A label is out of range in {name}. Expected 0 to "
                f"{len(self.pixels) - 1}, or 255 to ignore; `data.check` proposes a "
                f"mapping. Received: {beyond[:10].tolist()}"
            )
        counts = np.bincount(label.astype("int64"), minlength=len(self.pixels))
        self.add_counts(counts)

    def add_counts(self, counts):
        """Adds one label map whose pixels of each class are `counts`, int64 (K,)."""
        self.pixels += counts
        self.images += counts > 0
        self.image_pixels += (counts > 0) * counts.sum()

    def shares(self):
        """Share of each class in all labelled pixels, float64 (K,)."""
        return self.pixels / max(self.pixels.sum(), 1)

    def weights(self, method="median_frequency"):
        """As `class_weights`."""
        seen = self.pixels > 0
        if method == "median_frequency":
            frequency = self.pixels[seen] / self.image_pixels[seen]
            found = np.median(frequency) / frequency if seen.any() else frequency
        elif method == "enet":
            found = 1 / np.log(1.02 + self.shares()[seen])
        else:
            raise ValueError(
                '`method` must be "median_frequency" or "enet". '
                f"Received: method={method!r}"
            )
        weights = np.ones(len(seen), "float32")
        weights[seen] = found
        return weights
