"""Dual-attention scene segmentation in Keras 3: DANet and DF-DAM."""

from keras_danet import layers, losses, metrics, optimizers
from keras_danet.layers import CAM, DAFM, PAM, PAM2D
from keras_danet.losses import CrossEntropy
from keras_danet.metrics import MeanIoU, PixelAccuracy
from keras_danet.models import DANet, DFDAM
from keras_danet.optimizers import SGD, poly_decay
from keras_danet.segmentation_model import SegmentationModel

__version__ = "0.1.0"
