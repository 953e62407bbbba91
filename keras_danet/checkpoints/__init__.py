"""Published PyTorch checkpoints as Keras models."""

from keras_danet.checkpoints.loading import from_checkpoint, load_torch_weights

__all__ = ["from_checkpoint", "load_torch_weights"]
