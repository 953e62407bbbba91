"""Dilation keeps the weights' meaning; every kind of backbone; nothing is changed."""

import functools

import keras
import keras_hub
import numpy as np
import pytest

import keras_danet
from keras_danet.backbones import NAMES, build_backbone, find_normalization
from tests.cases import enliven, tiny_resnet

IMAGE = np.random.default_rng(0).normal(size=(1, 33, 49, 3)).astype("float32")


@functools.cache
def application():
    """The real `keras.applications.ResNet50`: stride on the 1x1, biases."""
    model = keras.applications.ResNet50(weights=None, include_top=False)
    enliven(model)
    return model


BACKBONES = {
    "basic": lambda: tiny_resnet("basic_block", blocks=2),
    "bottleneck": lambda: tiny_resnet("bottleneck_block", blocks=2),
    "pre_activation": lambda: tiny_resnet(
        "bottleneck_block", pre_activation=True, blocks=2
    ),
    "deep_stem": lambda: tiny_resnet("bottleneck_block", (32, 32, 64)),
    "application": application,
}


def run(model, image=IMAGE):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, dict(model(image)))


@pytest.mark.parametrize("kind", BACKBONES)
def test_dilated_map_subsampled_is_the_strided_map(kind, tmp_path):
    backbone = BACKBONES[kind]()
    strided = run(build_backbone(backbone, 32))
    for output_stride, p4, p5 in ((16, 1, 2), (8, 2, 4)):
        dilated_model = build_backbone(backbone, output_stride)
        dilated = run(dilated_model)
        for name, step in (("P2", 1), ("P3", 1), ("P4", p4), ("P5", p5)):
            scale = np.abs(strided[name]).max()
            np.testing.assert_allclose(
                dilated[name][:, ::step, ::step], strided[name], atol=1e-5 * scale
            )
    dilated_model.save(tmp_path / "dilated.keras")
    reloaded = run(keras.saving.load_model(tmp_path / "dilated.keras"))
    np.testing.assert_allclose(reloaded["P5"], dilated["P5"], atol=1e-6 * scale)


def test_a_backbone_of_one_size_makes_a_model_of_any():
    fixed = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=(64, 64, 3)
    )
    fixed.set_weights(application().get_weights())
    ours, expected = (
        run(build_backbone(fixed, 16)),
        run(build_backbone(application(), 16)),
    )
    for name, features in expected.items():
        np.testing.assert_allclose(ours[name], features, atol=1e-5)
    config = {**tiny_resnet().get_config(), "image_shape": (64, 64, 3)}
    of_hub = keras_hub.models.ResNetBackbone.from_config(config)
    assert run(build_backbone(of_hub, 8))["P5"].shape[1:3] == (5, 7)


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_users_model_is_not_changed(kind):
    backbone = BACKBONES[kind]()
    config, weights = backbone.get_config(), backbone.get_weights()
    pyramid = build_backbone(backbone, 8)
    for variable in pyramid.variables:
        variable.assign(np.zeros(variable.shape))
    assert str(backbone.get_config()) == str(config)
    for now, then in zip(backbone.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


def test_multi_grid_is_absolute():
    pyramid = build_backbone("resnet_50", 8, (4, 8, 16))
    rates = [
        pyramid.get_layer(f"stack3_block{i}_2_conv").dilation_rate for i in (0, 1, 2)
    ]
    assert rates == [(4, 4), (8, 8), (16, 16)]
    rates = [pyramid.get_layer(f"stack2_block{i}_2_conv").dilation_rate for i in (0, 1)]
    assert rates == [(1, 1), (2, 2)]
    rates = build_backbone(application(), 8, (4, 8, 16))
    rates = [rates.get_layer(f"conv5_block{i}_2_conv").dilation_rate for i in (1, 2, 3)]
    assert rates == [(4, 4), (8, 8), (16, 16)]


def test_batch_normalization_of_every_backbone():
    for kind, epsilon in (("bottleneck", 1e-5), ("application", 1.001e-5)):
        for layer in build_backbone(BACKBONES[kind]()).layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                assert isinstance(layer, keras_danet.layers.BatchNormalization)
                assert layer.momentum == 0.9
                assert layer.epsilon == epsilon
                assert "synchronized" not in layer.get_config()


def test_preset_folder_is_loaded_with_weights_and_normalization(tmp_path):
    backbone = tiny_resnet()
    backbone.save_to_preset(tmp_path / "preset")
    expected = run(build_backbone(backbone, 8))
    found = run(build_backbone(str(tmp_path / "preset"), 8))
    np.testing.assert_allclose(found["P5"], expected["P5"], atol=1e-5)
    imagenet = keras_danet.layers.normalize.SETTINGS["imagenet"]
    assert find_normalization(str(tmp_path / "preset")) == imagenet

    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=[1.0, 2.0, 3.0], offset=[4.0, 5.0, 6.0]
    )
    converter.save_to_preset(tmp_path / "preset")
    scale, offset, reverse = find_normalization(str(tmp_path / "preset"))
    assert (list(scale), list(offset), reverse) == ([1, 2, 3], [4, 5, 6], False)
    model = keras_danet.DFDAM(5, str(tmp_path / "preset"))
    assert list(model.get_layer("normalization").scale) == [1, 2, 3]


def test_a_damaged_image_converter_is_an_error(tmp_path):
    tiny_resnet().save_to_preset(tmp_path / "preset")
    (tmp_path / "preset" / "image_converter.json").write_text('{"module": ')
    with pytest.raises(ValueError, match=r"image_converter\.json.*preprocessing="):
        keras_danet.DFDAM(5, str(tmp_path / "preset"))


def test_a_frozen_backbone_stays_frozen():
    backbone = tiny_resnet()
    backbone.trainable = False
    assert not build_backbone(backbone, 8).trainable_variables
    backbone.get_layer("stack3_block0_1_conv").trainable = True
    kernel, *others = build_backbone(backbone, 8).trainable_variables
    assert "stack3_block0_1_conv" in kernel.path and not others


def test_normalization_follows_the_weights():
    settings = keras_danet.layers.normalize.SETTINGS
    assert find_normalization("resnet_50") == settings["imagenet"]
    assert find_normalization(application()) == settings["caffe"]
    assert find_normalization(application(), "imagenet") == settings["imagenet"]
    assert find_normalization("resnet_50", None) is None
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 5, 3)).astype("float32")
    layer = keras_danet.layers.ImageNormalization(*settings["imagenet"])
    expected = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(image)), expected, atol=1e-5
    )
    layer = keras_danet.layers.ImageNormalization(*settings["caffe"])
    expected = keras.applications.resnet.preprocess_input(image.copy())
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(image)), expected, atol=1e-4
    )


@pytest.mark.parametrize("name", NAMES)
def test_names_are_complete(name):
    family, depth = name.rsplit("_", 1)
    assert family in ("resnet", "resnet_v1c", "resnet_v1s", "resnet_vd")
    assert depth in ("18", "34", "50", "101", "152")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet_51"}, "resnet_v1c_101.*Received: backbone='resnet_51'"),
        ({"backbone": 18}, "must be a name.*Received: backbone=18"),
        ({"output_stride": 7}, "must be 8, 16 or 32. Received: output_stride=7"),
        ({"multi_grid": (4, 8)}, "three positive dilation rates"),
        ({"multi_grid": (1, 2, 4), "output_stride": 32}, "dilated last stage"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        build_backbone(**{"backbone": "resnet_18", "output_stride": 8, **arguments})
    with pytest.raises(ValueError, match=f"(?s){message}"):
        keras_danet.DANet(5, **{"backbone": "resnet_18", **arguments})


def test_a_headless_application_is_needed():
    with pytest.raises(ValueError, match="include_top=False"):
        build_backbone(keras.applications.ResNet50V2(weights=None, include_top=False))
