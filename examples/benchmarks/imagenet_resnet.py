"""keras.applications' ImageNet ResNet-50 as torchvision's, for PyTorch.

The weights fit but for one thing: theirs strides in the first 1x1 convolution of a
stage, torchvision's in the 3x3 one. Images are RGB, normalized as torchvision's.
"""

import re

import keras
import numpy as np
import torch

from keras_danet.checkpoints.names import BLOCK, WEIGHTS, layer_variables
from keras_danet.checkpoints.torchvision import SEVEN_BY_SEVEN
from keras_danet.layers.normalize import SETTINGS


def torchvision_state(path):
    """Torchvision's name -> tensor, of the weights of a file.

    Args:
        path: str or path of the weights of
            `keras.applications.ResNet50(include_top=False)`, a .weights.h5 file.
    """
    backbone = keras.applications.ResNet50(weights=None, include_top=False)
    backbone.load_weights(path)
    variables = layer_variables(backbone)
    ours = {name: keras.ops.convert_to_numpy(v) for name, v in variables.items()}
    state = {}
    for name, array in ours.items():
        layer, _, weight = name.rpartition("/")
        if weight == "bias":
            continue
        if weight == "kernel":
            array = _kernel(layer, array)
        if weight == "moving_mean":
            # Theirs has no bias before a batch normalization: it shifts the mean.
            array = array - ours[f"{layer.removesuffix('bn')}conv/bias"]
        state[f"{_their_layer(layer)}.{WEIGHTS[weight]}"] = torch.tensor(array)
    return state


def _kernel(layer, kernel):
    """(h, w, in, out) -> (out, in, h, w); the first one of normalized RGB, not BGR."""
    if layer == "conv1_conv":
        scale, _, _ = SETTINGS["imagenet"]
        kernel = kernel[:, :, ::-1] / np.float32(scale)[:, None]
    return kernel.transpose(3, 2, 0, 1)


def _their_layer(layer):
    """conv3_block2_1_bn -> layer2.1.bn1"""
    match = re.fullmatch(r"conv(\d)_block(\d+)_(\d_(?:conv|bn))", layer)
    if match is None:
        return SEVEN_BY_SEVEN[layer]
    stage, block, position = match.groups()
    return f"layer{int(stage) - 1}.{int(block) - 1}.{BLOCK[position]}"
