"""Folders of images and labels as a `tf.data.Dataset`."""

from functools import partial
from pathlib import Path

from keras_danet.data.files import SUFFIXES, read_pair
from keras_danet.data.indexed import indexed
from keras_danet.data.labels import check_label_map, read_label


def from_folder(images, labels, *, label_map=None):
    """Pictures and label maps of two folders, paired by name.

    `images/town/a.jpg` belongs to `labels/town/a.png`: the path below the folder,
    without its suffix, is the same. The order is that of the names.

    Args:
        images: Folder of pictures (JPEG, PNG, BMP, WebP, TIFF), searched in depth;
            or a list of files.
        labels: Folder of label maps (PNG, BMP, GIF, TIFF) of one channel, class ids 0,
            1, ..., with 255 for pixels to ignore; or a list of as many files, in the
            order of `images`.
        label_map: Value in the file -> class id, for labels that hold other ids or
            colors: `{7: 0, 8: 1, 0: 255}`, `{(128, 64, 128): 0, (0, 0, 0): 255}`.
            Every value that occurs must be listed.

    Returns:
        `tf.data.Dataset` of `(image, label)`: uint8 (H, W, 3) RGB in [0, 255] and
        uint8 (H, W). Files are read when they are needed.

    Raises:
        ValueError: A folder is missing or empty, `label_map` cannot be applied, or
            files have no partner; they are counted and the first ones named. While
            iterating, TensorFlow's `InvalidArgumentError` names a file that cannot be
            read, a color mask, a value that `label_map` does not list, or both files
            when sizes differ.

    Example:
        >>> train = keras_danet.data.from_folder("train/images", "train/labels")
        >>> batches = keras_danet.data.prepare(train, 8, crop_size=512, training=True)
    """
    check_label_map(label_map)
    if isinstance(images, (str, Path)):
        images, labels = pair(Path(images), Path(labels))
    elif len(images) != len(labels):
        raise ValueError(
            "`images` and `labels` must be equally long lists of files. "
            f"Received: {len(images)} images, {len(labels)} labels."
        )
    return from_files(images, labels, partial(read_label, label_map=label_map))


def from_files(images, labels, read_label):
    """Two equally long lists of files as a `tf.data.Dataset`."""

    def read(index):
        return read_pair(images[index], labels[index], read_label)

    return indexed(len(images), read)


def pair(images, labels):
    """Sorted files of two folders, each with its partner."""
    images, labels, lonely = match(images, labels)
    lonely = [*lonely["image"], *lonely["label"]]
    if lonely:
        shown = "\n  ".join(map(str, lonely[:10]))
        raise ValueError(
            f"{len(lonely)} files have no partner of the same name without its suffix "
            "(a.jpg belongs to a.png). Rename or remove them, or pass two lists of "
            "files. Received:\n  " + shown + ("\n  ..." if len(lonely) > 10 else "")
        )
    return images, labels


def match(images, labels):
    """Files of two folders by their names.

    Returns:
        (images, labels, {"image": images without label, "label": the reverse}), sorted;
        the first two are partners.
    """
    images, labels = _by_name(images), _by_name(labels)
    common = sorted(images.keys() & labels.keys())
    lonely = {
        "image": [images[name] for name in sorted(images.keys() - labels.keys())],
        "label": [labels[name] for name in sorted(labels.keys() - images.keys())],
    }
    return [images[n] for n in common], [labels[n] for n in common], lonely


def _by_name(folder):
    """{path below the folder without its suffix: path} of a folder's pictures."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise ValueError(
                f"Two files are called {name}: {found[name]} and {path}. Remove one."
            )
        found[name] = path
    if not found:
        raise ValueError(
            f"{folder} holds no pictures. Expected files with one of the suffixes "
            f"{', '.join(SUFFIXES)}, directly or in subfolders."
        )
    return found
