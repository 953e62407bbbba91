"""Dilation in place of stride: a ResNet's graph again, at another output stride."""

import re

import keras

from keras_danet.layers.batch_normalization import BatchNormalization


def dilate_keras_hub(backbone, output_stride, multi_grid):
    """The pyramid of a copy of the user's keras-hub `ResNetBackbone`."""
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
    strides = stage_strides(output_stride)
    config = {**backbone.get_config(), "stackwise_num_strides": strides}
    own = type(backbone).from_config(config)
    pyramid = dilate_in_place(own, output_stride, multi_grid)
    pyramid.set_weights(backbone.get_weights())
    trainable = {layer.name: layer.trainable for layer in backbone.layers}
    for layer in pyramid.layers:
        layer.trainable = trainable.get(layer.name, True)
    return pyramid


def stage_strides(output_stride):
    """The strides of the four stages where dilation replaces those beyond."""
    return [1, 2, 2 if output_stride > 8 else 1, 2 if output_stride > 16 else 1]


def dilate_in_place(resnet, output_stride, multi_grid):
    """The pyramid of a keras-hub ResNet of ours that has the final strides already.

    Its convolutions are changed and taken over, not copied: a second set of weights
    would be most of what loading a checkpoint needs in memory.
    """
    outputs = dict(resnet.pyramid_outputs)
    # The last stage of a pre-activation ResNet is not normalized before this point.
    outputs["P5"] = resnet.output
    # The stride of a stage stands on the first 3x3 convolution of its first block.
    strided = "1" if resnet.block_type.startswith("basic") else "2"

    def take(layer):
        if isinstance(layer, keras.layers.BatchNormalization):
            return _own_normalization(layer)
        match = re.fullmatch(r"stack([23])_block(\d+)_([12])_conv", layer.name)
        if match is not None and tuple(layer.kernel_size) == (3, 3):
            stage, block, position = match.groups()
            fine = position == strided
            rate = _dilation_rate(
                output_stride, multi_grid, int(stage), int(block), fine
            )
            layer.dilation_rate = (rate, rate)
        return layer

    return _pyramid(resnet.input, outputs, take)


def dilate_application(backbone, output_stride, multi_grid):
    """The pyramid of a copy of the user's `keras.applications` ResNet."""
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

    def copy(layer):
        if isinstance(layer, keras.layers.BatchNormalization):
            return _own_normalization(layer)
        return type(layer).from_config({**layer.get_config(), **change(layer)})

    pyramid = _pyramid(backbone.input, outputs, copy)
    pyramid.set_weights(keras.Model(backbone.input, outputs).get_weights())
    return pyramid


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


def _own_normalization(layer):
    return BatchNormalization.from_config({**layer.get_config(), "momentum": 0.9})


def _pyramid(inputs, outputs, layer_of):
    """The graph from `inputs` to `outputs` again, of the layers `layer_of(layer)`.

    A functional graph keeps the dilation in the layers' own configs; a
    `ResNetBackbone` would lose it on reloading.
    """
    # The user's backbone may be of one size; its weights are not.
    images = keras.Input((None, None, inputs.shape[-1]), dtype=inputs.dtype)
    graph = keras.models.clone_model(
        keras.Model(inputs, outputs), input_tensors=images, clone_function=layer_of
    )
    return keras.Model(graph.input, graph.output, name="backbone")
