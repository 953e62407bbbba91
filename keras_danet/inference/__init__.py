"""Images in, probabilities and labels out."""

from keras_danet.inference.segmentation import Segmentation, UnreadableImages, segment

__all__ = ["segment", "Segmentation", "UnreadableImages"]
