"""The one table of models: how to build each, tiny, and which heads it must have."""

from typing import NamedTuple

import keras
import keras_hub
import numpy as np

import keras_danet

NUM_CLASSES = 5


class Case(NamedTuple):
    """A builder with arguments; `backbone` is made anew by each `backbone()`."""

    builder: object
    backbone: object
    arguments: dict
    heads: tuple

    def build(self, **overrides):
        arguments = {**self.arguments, **overrides}
        return self.builder(NUM_CLASSES, self.backbone(), **arguments)


def tiny_resnet(block="basic_block", stem=(64,), pre_activation=False, blocks=1):
    """A keras-hub ResNet of `blocks` blocks a stage, with lively batch statistics."""
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=list(stem),
        input_conv_kernel_sizes=[7] if len(stem) == 1 else [3] * len(stem),
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[blocks] * 4,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block,
        use_pre_activation=pre_activation,
    )
    enliven(backbone)
    return backbone


def enliven(model):
    """Batch statistics, biases and gammas away from 0 and 1, so that tests see them."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        name = variable.path.rsplit("/", 1)[-1]
        if name in ("moving_variance", "gamma") and len(variable.shape) == 1:
            variable.assign(rng.uniform(0.5, 1.0, variable.shape))
        elif name in ("moving_mean", "beta", "bias"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
        elif name == "gamma":
            variable.assign(0.5)


def images_and_labels(count=2, height=50, width=61, seed=0):
    """Random uint8 images and labels of odd sizes, a border of 255."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    labels = rng.integers(0, NUM_CLASSES, (count, height, width), dtype=np.uint8)
    labels[:, :3] = 255
    return images, labels


def predict(model, images):
    return keras.ops.convert_to_numpy(model(images))


_DUAL = ("fused", "channel", "position")
_DFDAM = ("fused", "context", "spatial")
_BOTTLENECK = "bottleneck_block"


def _danet(backbone=tiny_resnet, heads=("fused",), **arguments):
    return Case(keras_danet.DANet, backbone, arguments, heads)


def _dfdam(backbone=tiny_resnet, **arguments):
    return Case(keras_danet.DFDAM, backbone, arguments, _DFDAM)


CASES = {
    "danet": _danet(heads=_DUAL),
    "danet_auxiliary": _danet(
        lambda: tiny_resnet(_BOTTLENECK, (32, 32, 64)),
        heads=("fused", "auxiliary", "channel", "position"),
        auxiliary_head=True,
    ),
    "danet_multi_grid": _danet(
        lambda: tiny_resnet(_BOTTLENECK),
        heads=_DUAL,
        multi_grid=(4, 8, 16),
        align_corners=True,
    ),
    "danet_paper_energy": _danet(
        lambda: tiny_resnet("basic_block_vd", (32, 32, 64)),
        heads=_DUAL,
        channel_energy="paper",
        output_stride=16,
    ),
    "danet_position": _danet(attention="position", output_stride=32),
    "danet_channel": _danet(attention="channel"),
    "danet_none": _danet(attention=None),
    "dfdam": _dfdam(),
    "dfdam_align_corners": _dfdam(
        lambda: tiny_resnet(_BOTTLENECK, (64, 64, 128)), align_corners=True
    ),
    "dfdam_dafm": _dfdam(spatial="sum"),
    "dfdam_sum": _dfdam(
        lambda: tiny_resnet(_BOTTLENECK, pre_activation=True),
        context="sum",
        spatial="sum",
    ),
}
