"""ResNet feature pyramids at a chosen output stride, from a name, preset or model."""

from pathlib import Path

import keras

from keras_danet.dilation import (
    dilate_application,
    dilate_in_place,
    dilate_keras_hub,
    stage_strides,
)
from keras_danet.layers.normalize import SETTINGS

# depth: (block, blocks per stage), He et al. 2016, table 1
DEPTHS = {
    18: ("basic_block", (2, 2, 2, 2)),
    34: ("basic_block", (3, 4, 6, 3)),
    50: ("bottleneck_block", (3, 4, 6, 3)),
    101: ("bottleneck_block", (3, 4, 23, 3)),
    152: ("bottleneck_block", (3, 8, 36, 3)),
}
# family: (stem filters, stem kernel sizes, block suffix, depths)
FAMILIES = {
    "resnet": ((64,), (7,), "", (18, 34, 50, 101, 152)),
    "resnet_v1c": ((32, 32, 64), (3, 3, 3), "", (50, 101, 152)),
    "resnet_v1s": ((64, 64, 128), (3, 3, 3), "", (50, 101, 152)),
    "resnet_vd": ((32, 32, 64), (3, 3, 3), "_vd", (18, 34, 50, 101, 152)),
}
NAMES = tuple(
    f"{family}_{depth}" for family, (*_, depths) in FAMILIES.items() for depth in depths
)


def build_backbone(backbone, output_stride=32, multi_grid=None):
    """A model from normalized images to the features of four stages.

    Dilation replaces the strides beyond `output_stride`, so weights trained at stride
    32 keep their meaning: the dilated map at every second (fourth) position is the
    strided map. Batch normalization becomes the package's own, momentum 0.9, with the
    epsilon that the weights were trained with.

    Args:
        backbone: one of `NAMES` (random weights, no network), a keras-hub preset
            (name, handle or local folder), a keras-hub `ResNetBackbone` or a
            `keras.applications.ResNet50/101/152(include_top=False)`; an instance is
            copied, never changed.
        output_stride: 8, 16 or 32, the stride of the last stage, P5.
        multi_grid: None or three ints, absolute dilation rates of the last stage's
            3x3 convolutions, used in turn (DANet: (4, 8, 16)).

    Returns:
        A `keras.Model` named "backbone", (B, H, W, 3) -> {"P2", "P3", "P4", "P5"}.
        The names are those of stride 32: at output stride 8, P4 and P5 have stride 8.

    Raises:
        ValueError: an unknown backbone, output stride or multi-grid.

    Example:

    >>> pyramid = build_backbone("resnet_18", output_stride=8)
    >>> pyramid(keras.ops.ones((1, 64, 64, 3)))["P5"].shape
    (1, 8, 8, 512)

    Reference: DANet, section 3.1 and 4.1 (dilated ResNet, stride 8, multi-grid).
    """
    _check_stride(output_stride, multi_grid)
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "The backbones read (B, H, W, C). Call "
            '`keras.config.set_image_data_format("channels_last")` first. '
            f"Received: image_data_format={keras.config.image_data_format()!r}"
        )
    if isinstance(backbone, str) and backbone in NAMES:
        strides = stage_strides(output_stride)
        resnet = named_resnet(backbone, stackwise_num_strides=strides)
        return dilate_in_place(resnet, output_stride, multi_grid)
    if isinstance(backbone, str):
        backbone = _preset(backbone)
    if _is_application(backbone):
        return dilate_application(backbone, output_stride, multi_grid)
    if _is_keras_hub_resnet(backbone):
        return dilate_keras_hub(backbone, output_stride, multi_grid)
    raise ValueError(
        "A backbone must be a name, a keras-hub preset, a keras-hub `ResNetBackbone` "
        "or a `keras.applications.ResNet50`, `ResNet101` or `ResNet152` built with "
        f"`include_top=False`. Names: {', '.join(NAMES)}. "
        f"Received: backbone={backbone!r}"
    )


def find_normalization(backbone, preprocessing="auto"):
    """The (scale, offset, reverse_channels) that a backbone's weights expect.

    Args:
        backbone: as in `build_backbone`.
        preprocessing: "auto" (what came with the preset; "caffe" for
            `keras.applications`; "imagenet" otherwise), "imagenet", "caffe", or None
            for an input that is used as it is.

    Returns:
        A tuple for `ImageNormalization`, or None.
    """
    if preprocessing is None:
        return None
    if preprocessing in SETTINGS:
        return SETTINGS[preprocessing]
    if preprocessing != "auto":
        raise ValueError(
            '`preprocessing` must be "auto", "imagenet", "caffe" or None. '
            f"Received: preprocessing={preprocessing!r}"
        )
    if isinstance(backbone, str) and backbone not in NAMES:
        return _normalization_of_preset(backbone)
    return SETTINGS["caffe" if _is_application(backbone) else "imagenet"]


def _check_stride(output_stride, multi_grid):
    if not isinstance(output_stride, int) or output_stride not in (8, 16, 32):
        raise ValueError(
            "`output_stride` must be 8, 16 or 32. "
            f"Received: output_stride={output_stride!r}"
        )
    if multi_grid is None:
        return
    sequence = isinstance(multi_grid, (tuple, list)) and len(multi_grid) == 3
    if not sequence or any(not isinstance(r, int) or r < 1 for r in multi_grid):
        raise ValueError(
            "`multi_grid` must be None or three positive dilation rates, such as "
            f"(4, 8, 16). Received: multi_grid={multi_grid!r}"
        )
    if output_stride == 32:
        raise ValueError(
            "`multi_grid` sets the dilation of a dilated last stage; use "
            "`output_stride` 8 or 16 with it. "
            f"Received: output_stride=32, multi_grid={multi_grid!r}"
        )


def named_resnet(name, /, stackwise_num_strides=(1, 2, 2, 2), **kwargs):
    """A keras-hub `ResNetBackbone` of random weights, by its name in `NAMES`."""
    import keras_hub

    family, depth = name.rsplit("_", 1)
    filters, kernel_sizes, suffix, _ = FAMILIES[family]
    block, blocks = DEPTHS[int(depth)]
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=list(filters),
        input_conv_kernel_sizes=list(kernel_sizes),
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=list(blocks),
        stackwise_num_strides=list(stackwise_num_strides),
        block_type=block + suffix,
        **kwargs,
    )


def _preset(name):
    import keras_hub

    try:
        return keras_hub.models.ResNetBackbone.from_preset(name)
    except Exception as error:
        raise ValueError(_preset_advice(name)) from error


def _normalization_of_preset(name):
    import keras_hub

    try:
        converter = keras_hub.layers.ImageConverter.from_preset(name)
    except Exception as error:
        if (Path(name) / "image_converter.json").exists():
            raise ValueError(
                f"The normalization that {name} was trained with cannot be read from "
                "its image_converter.json. Mend the file, or pass `preprocessing=` "
                f'"imagenet", "caffe" or None. Received: {error}'
            ) from error
        # A folder written by `backbone.save_to_preset` has no converter: its weights
        # were trained by whoever wrote it, most likely on the ImageNet normalization.
        return SETTINGS["imagenet"]
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return (scale, offset, False)


def _preset_advice(name):
    return (
        f"No backbone came of {name!r}: it is no name of this package and keras-hub "
        "could not load it as a ResNet preset (its own error stands above). Without a "
        "network, use one of the names, which start from random weights, a local "
        "folder written by `save_to_preset`, or a model instance that you loaded. "
        f"Names: {', '.join(NAMES)}. Received: backbone={name!r}"
    )


def _is_keras_hub_resnet(backbone):
    if not isinstance(backbone, keras.Model):
        return False
    import keras_hub

    return isinstance(backbone, keras_hub.models.ResNetBackbone)


def _is_application(backbone):
    """Whether it is a ResNet (v1) of `keras.applications` without the classifier."""
    if not isinstance(backbone, keras.Model):
        return False
    names = {layer.name for layer in backbone.layers}
    stages = {"conv2_block1_out", "conv3_block1_out", "conv4_block1_out"}
    return stages | {"conv5_block3_out", "conv1_bn"} <= names
