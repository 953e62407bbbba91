"""Facts about a data set, gathered without judging them."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from keras_danet.data.files import read_image, size_mismatch
from keras_danet.data.frequencies import PixelCount
from keras_danet.data.labels import map_values, read_values

IGNORED = 255
SAMPLES = 8
SIDE = 320  # pixels of a sample's long side, about
THREADS, CHUNK = 4, 16
MANY_COLORS = 1024
MANY_CLASSES = 256


class Evidence:
    """What the files or examples of a data set hold.

    Attributes:
        name: What is examined.
        examples: Number of examples read.
        lonely: {"image": [...], "label": [...]}, files without a partner.
        broken: {file: why it cannot be read}.
        sizes: {label file: how its size differs from the image's}.
        palettes: Files whose indices point to colors.
        values: {value in a label file: pixels}; ints, and (r, g, b) of color masks.
        places: {value: files it occurs in}.
        void: Files without any labelled pixel.
        censuses: [{value: pixels}] of each label; of color masks only where they are
            few enough for classes.
        count: `PixelCount` of what is in range.
        samples: [(image, values)] for the contact sheet.
    """

    def __init__(self, name, num_classes, label_map=None):
        self.name = name
        self.label_map = label_map
        self.examples = 0
        self.lonely = {"image": [], "label": []}
        self.broken, self.sizes = {}, {}
        self.palettes, self.void, self.censuses = [], [], []
        self.values, self.places = defaultdict(int), defaultdict(list)
        self.count = PixelCount(num_classes)
        self.samples = []

    def add(self, image, values, name, sampled):
        """One example: the label as the file holds it, colors or integers."""
        self.examples += 1
        census = dict(_census(values))
        for value, pixels in census.items():
            self.values[value] += pixels
            self.places[value].append(name)
        if len(census) <= MANY_CLASSES:
            self.censuses.append(census)
        if sampled and image is not None:
            step = max(1, round(max(values.shape) / SIDE))
            self.samples.append((image[::step, ::step], values[::step, ::step]))
        if values.ndim == 3:
            return
        if (values == IGNORED).all():
            self.void.append(name)
        known = (values >= 0) & (values < len(self.count.pixels))
        self.count.add(np.where(known, values, IGNORED).astype("uint8"), name)


def of_files(images, labels, evidence):
    """Reads every pair of files; what fails is evidence, too."""
    spread = _spread(len(images))
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(images), CHUNK):  # so that few wait in memory
            chunk = slice(start, start + CHUNK)
            maps = [evidence.label_map] * CHUNK
            read = pool.map(_read, images[chunk], labels[chunk], maps)
            for index, example in enumerate(read, start):
                _record(evidence, str(labels[index]), index in spread, *example)


def _record(evidence, name, sampled, image, values, palette, broken, size):
    evidence.broken.update(broken)
    if size:
        evidence.sizes[name] = size
    if palette:
        evidence.palettes.append(name)
    if values is not None:
        evidence.add(None if size else image, values, name, sampled)


def of_dataset(dataset, evidence):
    """Reads every example of a `tf.data.Dataset`."""
    count = dataset.cardinality().numpy()
    spread = _spread(count if count > 0 else SAMPLES)
    for index, (image, label) in enumerate(dataset.as_numpy_iterator()):
        name = f"example {index}"
        label = label[..., 0] if label.ndim == 3 and label.shape[-1] == 1 else label
        differs = image.shape[:2] != label.shape[:2]
        if differs:
            evidence.sizes[name] = f"image {image.shape}, label {label.shape}."
        evidence.add(None if differs else image, label, name, index in spread)


def _spread(count):
    """Evenly spread indices of the examples for the contact sheet."""
    return set(np.linspace(0, max(count, 1) - 1, SAMPLES).round().astype(int).tolist())


def _read(image_path, label_path, label_map):
    """(image, values, has a palette, {broken file: why}, size mismatch) of a pair."""
    broken, image, values, palette, size = {}, None, None, False, None
    try:
        image = read_image(image_path)
    except ValueError as error:
        broken[str(image_path)] = str(error)
    try:
        values = read_values(label_path)
        with Image.open(label_path) as picture:
            palette = picture.mode == "P"
        if label_map is not None:
            values = map_values(values, label_map, label_path)
        if image is not None:
            size = size_mismatch(image, values, image_path, label_path)
    except ValueError as error:
        broken[str(label_path)] = str(error)
        values = None
    return image, values, palette, broken, size


def _census(values):
    """(value, pixels) of a label file; of a photograph only the first colors."""
    if values.dtype == np.uint8 and values.ndim == 2:
        pixels = np.bincount(values.ravel(), minlength=256)
        found = np.flatnonzero(pixels)
        return zip(found.tolist(), pixels[found].tolist(), strict=True)
    if values.ndim == 2:
        found, pixels = np.unique(values, return_counts=True)
        return zip(found.tolist(), pixels.tolist(), strict=True)
    found, pixels = np.unique(values.reshape(-1, 3), axis=0, return_counts=True)
    common = np.argsort(-pixels, kind="stable")[:MANY_COLORS]
    colors = map(tuple, found[common].tolist())
    return zip(colors, pixels[common].tolist(), strict=True)
