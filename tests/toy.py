"""The toy network of the evaluation fixtures, in NumPy, and two tiny Keras models."""

import keras
import numpy as np
from keras import layers

from keras_danet.layers import CAM, DAFM, PAM, PAM2D, BilinearResize
from tests.shared import SHARED


def toy_weights():
    """W1 (6, 3, 5, 5), B1, W2 (4, 6, 1, 1), B2: the fixture's, or random ones."""
    if SHARED is not None:
        with np.load(SHARED / "fixtures" / "evalproc" / "mmseg_slide.npz") as arrays:
            return [arrays[name] for name in ("W1", "B1", "W2", "B2")]
    rng = np.random.default_rng(7)
    shapes = (6, 3, 5, 5), (6,), (4, 6, 1, 1), (4,)
    return [rng.normal(size=shape) * 0.3 for shape in shapes]


class Toy:
    """logits(x) = conv1x1(relu(conv5x5 stride 2 padding 2 (x))), enlarged to x.

    Float64 NumPy, (n, h, w, 3) -> (n, h, w, 4); `calls` keeps the shapes it was given.
    """

    def __init__(self, factor=1.0):
        self.kernel, self.bias, self.last_kernel, self.last_bias = toy_weights()
        self.factor = factor
        self.calls = []

    def __call__(self, images):
        self.calls.append(images.shape)
        x = np.pad(images.astype("float64"), ((0, 0), (2, 2), (2, 2), (0, 0)))
        patches = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))
        patches = patches[:, ::2, ::2]  # (n, h/2, w/2, 3, 5, 5)
        hidden = np.einsum("nhwcij,ocij->nhwo", patches, self.kernel) + self.bias
        last = self.last_kernel[:, :, 0, 0]
        logits = np.maximum(hidden, 0) @ last.T + self.last_bias
        return self.factor * align_corners_resize(logits, images.shape[1:3])


def align_corners_resize(maps, size):
    """(n, h, w, c) resized by two matrices with the corners kept in place."""
    rows, columns = map(align_corners_matrix, maps.shape[1:3], size)
    return np.einsum("Hh,nhwc,Ww->nHWc", rows, maps, columns, optimize=True)


def align_corners_matrix(length, new_length):
    position = np.arange(new_length) * (length - 1) / max(new_length - 1, 1)
    distance = np.abs(position[:, None] - np.arange(length))
    return np.maximum(1 - distance, 0)


def tiny_danet(num_classes=5):
    """Stride 8, 16 channels, PAM and CAM with gammas that are not zero."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = layers.Conv2D(16, 9, 8, padding="same", activation="relu")(x)
    position = PAM(reduction=2, name="position_attention")
    channel = CAM(name="channel_attention")
    x = layers.Add()([position(x), channel(x)])
    logits = layers.Conv2D(num_classes, 1)(x)
    model = keras.Model(image, BilinearResize()([logits, image]), name="tiny_danet")
    position.gamma.assign(0.7)
    channel.gamma.assign(0.6)
    return model


def tiny_dfdam(num_classes=5):
    """Stages of strides 2, 4 and 8, DAFM and PAM2D."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1)(image)
    low = layers.Conv2D(8, 3, 2, padding="same", activation="relu")(x)
    middle = layers.Conv2D(12, 3, 2, padding="same", activation="relu")(low)
    high = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(middle)
    context = DAFM(16, name="dafm")([middle, high])
    enlarged = BilinearResize()([context, low])
    spatial = PAM2D(8, name="pam2d")([low, enlarged])
    logits = layers.Conv2D(num_classes, 1)(layers.Concatenate()([spatial, enlarged]))
    return keras.Model(image, BilinearResize()([logits, image]), name="tiny_dfdam")
