"""Losses on raw logits (B, H, W, K) and one label map; ignored pixels never count."""

from keras_danet.losses.cross_entropy import CrossEntropy
from keras_danet.losses.dice import Dice
from keras_danet.losses.lovasz import LovaszSoftmax
from keras_danet.losses.ohem import OHEMCrossEntropy

__all__ = ["CrossEntropy", "Dice", "LovaszSoftmax", "OHEMCrossEntropy"]
