"""keras.applications' ImageNet ResNet-50 as torchvision's, for PyTorch.

The weights fit but for one thing: theirs strides in the first 1x1 convolution of a
stage, torchvision's in the 3x3 one. Images are RGB, normalized as torchvision's.
"""

import keras
import numpy as np
import torch

STD = np.float32([58.395, 57.12, 57.375])
# A convolution of keras.applications' bottleneck -> torchvision's names.
BRANCHES = {
    "0": ("downsample.0", "downsample.1"),
    "1": ("conv1", "bn1"),
    "2": ("conv2", "bn2"),
    "3": ("conv3", "bn3"),
}


def torchvision_state(path):
    """Torchvision's name -> tensor, of the weights of a file.

    Args:
        path: str or path of the weights of
            `keras.applications.ResNet50(include_top=False)`, a .weights.h5 file.
    """
    backbone = keras.applications.ResNet50(weights=None, include_top=False)
    backbone.load_weights(path)
    state = {}
    for layer in backbone.layers:
        if not layer.weights:
            continue
        arrays = _arrays(layer)
        if layer.name.endswith("_conv"):
            values = {"weight": _kernel(layer.name, arrays[0])}
        else:
            # Theirs has no bias before a batch normalization: it shifts the mean.
            bias = _arrays(backbone.get_layer(layer.name[:-2] + "conv"))[1]
            names = ("weight", "bias", "running_mean", "running_var")
            values = dict(zip(names, arrays, strict=True))
            values["running_mean"] -= bias
        for name, value in values.items():
            state[f"{_name(layer.name)}.{name}"] = torch.from_numpy(value.copy())
    return state


def _arrays(layer):
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in layer.weights]


def _kernel(name, kernel):
    """(h, w, in, out) -> (out, in, h, w); the first one of normalized RGB, not BGR."""
    if name == "conv1_conv":
        kernel = kernel[:, :, ::-1] * STD[:, None]
    return kernel.transpose(3, 2, 0, 1)


def _name(name):
    """conv3_block2_1_bn -> layer2.1.bn1"""
    *place, kind = name.split("_")
    if len(place) == 1:
        return "conv1" if kind == "conv" else "bn1"
    stage, block = int(place[0][4:]) - 1, int(place[1][5:]) - 1
    return f"layer{stage}.{block}.{BRANCHES[place[2]][kind == 'bn']}"
