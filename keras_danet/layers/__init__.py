"""The attention modules of both papers and what they stand on."""

from keras_danet.layers.batch_normalization import BatchNormalization
from keras_danet.layers.cam import CAM
from keras_danet.layers.dafm import DAFM
from keras_danet.layers.normalize import ImageNormalization
from keras_danet.layers.pam import PAM
from keras_danet.layers.pam2d import PAM2D
from keras_danet.layers.resize import BilinearResize

__all__ = [
    "PAM",
    "CAM",
    "DAFM",
    "PAM2D",
    "BilinearResize",
    "BatchNormalization",
    "ImageNormalization",
]
