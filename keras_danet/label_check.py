"""Looks at every label map on the host before a compiled step may hide a bad one."""

import copy

import keras
import numpy as np


def check_label(label, num_classes, ignore_class, where):
    """Raises a ValueError for a label that is neither a class nor `ignore_class`.

    Args:
        label: array of class ids, any shape and dtype.
        num_classes: int K; the classes are 0..K-1.
        ignore_class: int or None.
        where: str, what the array is, for the message ("`y`", "batch 3").

    Raises:
        ValueError: naming the bad values and the index of the first.

    Example:

    >>> check_label(np.array([[0, 18], [255, 3]]), 19, 255, "`y`")
    """
    label = np.asarray(label)
    bad = (label < 0) | (label >= num_classes)
    if label.dtype.kind == "f":
        bad |= label != np.floor(label)  # NaN too
    if ignore_class is not None:
        bad &= label != ignore_class
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    values = np.unique(label[bad])[:10].tolist()
    raise ValueError(
        f"Label {label[first].item()} stands in {where} at index {first} (image, row, "
        f"column), but the model has {num_classes} classes, 0 to {num_classes - 1}, "
        f"and {ignore_class} is ignored. Map the labels to these ids "
        "(`keras_danet.data.check` finds the mapping), or build the model with more "
        f"classes. Received: labels {values} in {int(bad.sum())} of {bad.size} pixels"
    )


def checked_arrays(label, image, num_classes, ignore_class, where="`y`"):
    """Checks labels given as an array beside an array of images, whole, once."""
    label = _numpy(label)
    if image is not None and not _sizes_agree(np.shape(image), label.shape):
        raise ValueError(
            "Images and labels differ in number or size: a label map has one class id "
            "per pixel, (B, H, W) or (B, H, W, 1). "
            f"Received: images {np.shape(image)}, labels {label.shape}"
        )
    if not _is_one_hot(label.shape, num_classes):
        check_label(label, num_classes, ignore_class, where)


def checked_stream(data, num_classes, ignore_class):
    """The same data set, generator or loader, each batch checked as it passes by.

    Args:
        data: `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch `DataLoader` or
            generator of (images, labels) or (images, labels, sample weights).
        num_classes: int.
        ignore_class: int or None.

    Returns:
        Data of the same kind. A `tf.distribute` dataset comes back as it is: it is
        checked where it is made, and in the loss, which turns NaN.
    """

    def check(batch, where):
        if isinstance(batch, (tuple, list)) and len(batch) > 1:
            checked_arrays(batch[1], batch[0], num_classes, ignore_class, where)

    if isinstance(data, keras.utils.PyDataset):
        return _CheckedPyDataset(data, check)
    kind = f"{type(data).__module__}.{type(data).__name__}"
    if kind.startswith("torch.utils.data"):
        return _checked_loader(data, check)
    if kind.startswith("tensorflow.") and hasattr(data, "enumerate"):
        return _checked_tf_data(data, num_classes, ignore_class)
    if hasattr(data, "__next__"):
        return _checked_generator(data, check)
    return data


class _CheckedPyDataset(keras.utils.PyDataset):
    def __init__(self, dataset, check):
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self.dataset = dataset
        self.check = check

    def __getitem__(self, index):
        batch = self.dataset[index]
        self.check(batch, f"batch {index}")
        return batch

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


def _checked_loader(loader, check):
    loader = copy.copy(loader)
    collate = loader.collate_fn

    def checked(samples):
        batch = collate(samples)
        check(batch, "a batch of the DataLoader")
        return batch

    loader.collate_fn = checked
    return loader


def _checked_generator(generator, check):
    for index, batch in enumerate(generator):
        check(batch, f"batch {index}")
        yield batch


def _checked_tf_data(dataset, num_classes, ignore_class):
    """`dataset` with an assertion in its pipeline, which runs on the host's CPU."""
    import tensorflow as tf

    def check(index, *batch):
        if len(batch) == 1 and isinstance(batch[0], (tuple, list)):
            batch = tuple(batch[0])
        if len(batch) < 2 or not isinstance(batch[1], tf.Tensor):
            return batch if len(batch) > 1 else batch[0]
        if _is_one_hot(tuple(batch[1].shape), num_classes):
            return batch
        floats = batch[1].dtype.is_floating
        label = tf.cast(batch[1], tf.float64 if floats else tf.int64)
        bad = (label < 0) | (label >= num_classes)
        if floats:
            bad |= label != tf.floor(label)  # NaN too
        if ignore_class is not None:
            bad &= label != ignore_class
        first = tf.where(bad)[:1]
        message = (
            f"A label is out of range: the model has {num_classes} classes, 0 to "
            f"{num_classes - 1}, and {ignore_class} is ignored. Map the labels to "
            "these ids (keras_danet.data.check finds the mapping), or build the model "
            "with more classes."
        )
        assertion = tf.debugging.Assert(
            tf.logical_not(tf.reduce_any(bad)),
            [
                message,
                "Received: batch",
                index,
                "at (image, row, column)",
                first,
                "labels",
                tf.unique(tf.boolean_mask(label, bad))[0],
            ],
            summarize=10,
        )
        with tf.control_dependencies([assertion]):
            return (batch[0], tf.identity(batch[1]), *batch[2:])

    checked = dataset.enumerate().map(check)
    return checked.with_options(dataset.options())


def _sizes_agree(image_shape, label_shape):
    return len(image_shape) != 4 or (
        len(label_shape) >= 3 and tuple(image_shape[:3]) == tuple(label_shape[:3])
    )


def _is_one_hot(shape, num_classes):
    """Whether labels are per-class values, for a loss of the user's own."""
    return len(shape) == 4 and shape[-1] == num_classes and num_classes > 1


def _numpy(value):
    return keras.ops.convert_to_numpy(value)
