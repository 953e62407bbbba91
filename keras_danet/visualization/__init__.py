"""Pictures of label maps, predictions, errors and training, in the classes' colors."""

from keras_danet.visualization.curves import training_curves
from keras_danet.visualization.grid import grid
from keras_danet.visualization.overlay import overlay
from keras_danet.visualization.palette import colorize, palette

__all__ = ["palette", "colorize", "overlay", "grid", "training_curves"]
