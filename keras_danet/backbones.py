"""ResNet feature pyramids at a chosen output stride, from a name, preset or model."""

import re

import keras

from keras_danet.layers.batch_normalization import BatchNormalization
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
    if isinstance(backbone, str):
        named = backbone in NAMES
        backbone = named_resnet(backbone) if named else _preset(backbone)
    if _is_application(backbone):
        return _dilate_application(backbone, output_stride, multi_grid)
    if _is_keras_hub_resnet(backbone):
        return _dilate_keras_hub(backbone, output_stride, multi_grid)
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
    if output_stride not in (8, 16, 32):
        raise ValueError(
            "`output_stride` must be 8, 16 or 32. "
            f"Received: output_stride={output_stride!r}"
        )
    if multi_grid is None:
        return
    if len(multi_grid) != 3 or any(int(rate) < 1 for rate in multi_grid):
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


def named_resnet(name, /, **kwargs):
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
        stackwise_num_strides=[1, 2, 2, 2],
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
    except Exception:
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


def _dilate_keras_hub(backbone, output_stride, multi_grid):
    if backbone.data_format != "channels_last":
        raise ValueError(
            "The backbone must be channels_last; build it with "
            '`data_format="channels_last"`. '
            f"Received: data_format={backbone.data_format!r}"
        )
    if list(backbone.stackwise_num_strides) != [1, 2, 2, 2]:
        raise ValueError(
            "The backbone must have four stages and stride 32; `output_stride` dilates "
            "it. Received: stackwise_num_strides="
            f"{backbone.stackwise_num_strides}"
        )
    strides = [1, 2, 2 if output_stride > 8 else 1, 2 if output_stride > 16 else 1]
    config = {**backbone.get_config(), "stackwise_num_strides": strides}
    unstrided = type(backbone).from_config(config)
    outputs = dict(unstrided.pyramid_outputs)
    # The last stage of a pre-activation ResNet is not normalized before this point.
    outputs["P5"] = unstrided.output
    # The stride of a stage stands on the first 3x3 convolution of its first block.
    strided = "1" if backbone.block_type.startswith("basic") else "2"

    def change(layer):
        match = re.fullmatch(r"stack([23])_block(\d+)_([12])_conv", layer.name)
        if match is None or tuple(layer.kernel_size) != (3, 3):
            return {}
        stage, block, position = match.groups()
        fine = position == strided
        rate = _dilation_rate(output_stride, multi_grid, int(stage), int(block), fine)
        return {"dilation_rate": rate}

    return _copy(unstrided.input, outputs, change, backbone.get_weights())


def _dilate_application(backbone, output_stride, multi_grid):
    names = {layer.name for layer in backbone.layers}
    last = [max(_blocks(names, stage)) for stage in (2, 3, 4, 5)]
    outputs = {
        f"P{stage}": backbone.get_layer(f"conv{stage}_block{block}_out").output
        for stage, block in zip((2, 3, 4, 5), last, strict=True)
    }
    unstrided = {8: "45", 16: "5", 32: ""}[output_stride]

    def change(layer):
        match = re.fullmatch(r"conv([45])_block(\d+)_([012])_conv", layer.name)
        if match is None:
            return {}
        stage, block, position = match.groups()
        if position != "2":
            # Here the stride stands on the 1x1 convolutions, so every 3x3 reads the
            # coarse grid, that of the first block too.
            return {"strides": 1} if stage in unstrided else {}
        rate = _dilation_rate(
            output_stride, multi_grid, int(stage) - 2, int(block) - 1, False
        )
        return {"dilation_rate": rate}

    weights = keras.Model(backbone.input, outputs).get_weights()
    return _copy(backbone.input, outputs, change, weights)


def _blocks(names, stage):
    found = (re.fullmatch(rf"conv{stage}_block(\d+)_out", name) for name in names)
    return [int(match.group(1)) for match in found if match]


def _dilation_rate(output_stride, multi_grid, stage, block, reads_fine_grid):
    """Dilation of a 3x3 convolution of the third (2) or fourth (3) stage.

    Args:
        output_stride: 8, 16 or 32.
        multi_grid: None or three rates of the fourth stage.
        stage: 2 or 3.
        block: int, from 0.
        reads_fine_grid: bool, whether this is the convolution that held the stride
            when it stands in the first block: it still reads the stage before.
    """
    if stage == 3 and multi_grid is not None:
        return int(multi_grid[block % 3])
    strides = {2: 16, 3: 32}
    if block == 0 and reads_fine_grid:
        return max(1, strides[stage] // 2 // output_stride)
    return max(1, strides[stage] // output_stride)


def _copy(inputs, outputs, change, weights):
    """The graph from `inputs` to `outputs` again, layer configs updated by `change`.

    A copied graph keeps the dilation in its own config; a `ResNetBackbone` would lose
    it on reloading.
    """

    def copy(layer):
        config = {**layer.get_config(), **change(layer)}
        if isinstance(layer, keras.layers.BatchNormalization):
            return BatchNormalization.from_config({**config, "momentum": 0.9})
        return type(layer).from_config(config)

    copied = keras.models.clone_model(keras.Model(inputs, outputs), clone_function=copy)
    pyramid = keras.Model(copied.input, copied.output, name="backbone")
    pyramid.set_weights(weights)
    return pyramid
