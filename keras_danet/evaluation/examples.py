"""The examples of any data set, one by one, as checked NumPy arrays."""

from keras_danet.images import as_image, as_label, as_numpy


def each_example(dataset):
    """Every (image, label) of a data set of examples or of batches.

    Args:
        dataset: iterable of (image, label, ...), of single examples, (H, W, 3) or
            whatever `as_image` reads and (H, W) or (H, W, 1), or of batches of them.

    Yields:
        (image (H, W, 3), label int64 (h, w)), the label a scaled copy or of the
        image's size.

    Raises:
        ValueError: no pairs, or an image and a label of different shapes.

    Example:

    >>> for image, label in each_example(keras_danet.data.scenes(2)):
    ...     print(image.shape, label.shape)
    """
    for number, example in enumerate(dataset):
        if not isinstance(example, (tuple, list)) or len(example) < 2:
            raise ValueError(
                "The data set must give (image, label) pairs. "
                f"Received: {type(example).__name__} as example {number}"
            )
        image, label = example[:2]
        if len(getattr(image, "shape", ())) == 4:
            for pair in zip(as_numpy(image), as_numpy(label), strict=True):
                yield _checked(*pair, number)
        else:
            yield _checked(image, label, number)


def count_examples(dataset):
    """Number of examples or batches, None where nobody knows.

    Raises:
        ValueError: a data set known to be endless.
    """
    try:
        return len(dataset)
    except TypeError as error:
        if "infinite" not in str(error):
            return None
        raise ValueError(
            "The data set never ends: it gives training crops. Evaluate whole images: "
            "`prepare(dataset, 1)`, or the data set itself. "
            f"Received: {dataset!r}"
        ) from error


def _checked(image, label, number):
    image, label = as_image(image), as_label(label)
    height, width = image.shape[:2]
    # A scaled copy is off by at most a pixel of rounding; a turned one is not.
    slack = max(height, width, *label.shape)
    if label.ndim != 2 or abs(label.shape[0] * width - label.shape[1] * height) > slack:
        raise ValueError(
            "A label map must have its image's shape, or be a scaled copy of it. "
            f"Received: image {image.shape}, label {label.shape} in example {number}"
        )
    return image, label
