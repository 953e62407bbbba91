"""Dual-attention scene segmentation in Keras 3: DANet and DF-DAM."""

from keras_danet import data, layers, losses, metrics, optimizers, visualization
from keras_danet.checkpoints import from_checkpoint, load_torch_weights
from keras_danet.evaluation import evaluate
from keras_danet.explanation import AttentionHealth, ablate, explain
from keras_danet.export import export_model
from keras_danet.finetuning import freeze_backbone, with_classes
from keras_danet.inference import segment
from keras_danet.layers import CAM, DAFM, PAM, PAM2D
from keras_danet.losses import CrossEntropy, Dice, LovaszSoftmax, OHEMCrossEntropy
from keras_danet.metrics import MeanIoU, PixelAccuracy
from keras_danet.models import DFDAM, DANet
from keras_danet.optimizers import SGD, poly_decay
from keras_danet.profiling import profile
from keras_danet.segmentation_model import SegmentationModel
from keras_danet.snapshots import Snapshots

__version__ = "0.1.0"

__all__ = [
    "DANet",
    "DFDAM",
    "SegmentationModel",
    "from_checkpoint",
    "load_torch_weights",
    "with_classes",
    "freeze_backbone",
    "PAM",
    "CAM",
    "DAFM",
    "PAM2D",
    "CrossEntropy",
    "OHEMCrossEntropy",
    "LovaszSoftmax",
    "Dice",
    "MeanIoU",
    "PixelAccuracy",
    "SGD",
    "poly_decay",
    "Snapshots",
    "segment",
    "evaluate",
    "explain",
    "ablate",
    "AttentionHealth",
    "profile",
    "export_model",
    "data",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "visualization",
    "__version__",
]
