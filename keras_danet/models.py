"""DANet and DF-DAM: image -> backbone -> attention -> logits of the image's size."""

import keras

from keras_danet import heads
from keras_danet.backbones import build_backbone, find_normalization
from keras_danet.layers import BilinearResize, ImageNormalization
from keras_danet.segmentation_model import SegmentationModel

DANET_HEAD_WEIGHTS = {"fused": 1.0, "position": 1.0, "channel": 1.0, "auxiliary": 0.4}
DFDAM_HEAD_WEIGHTS = {"fused": 1.0, "context": 0.4, "spatial": 0.1}


def DANet(
    num_classes,
    backbone="resnet_50",
    *,
    attention="dual",
    output_stride=8,
    multi_grid=None,
    auxiliary_head=False,
    channel_energy="released",
    align_corners=False,
    dropout=0.1,
    preprocessing="auto",
    class_names=None,
    image_shape=(None, None, 3),
    name="danet",
):
    """Builds DANet: a dilated ResNet with position and channel attention.

    Use it where context decides (street scenes, stuff classes) and the cost of a
    stride-8 network can be paid; `DFDAM` is the light one.

    Args:
        num_classes: int >= 2, K.
        backbone: str or model. "resnet_18|34|50|101|152", "resnet_v1c_50|101|152" (stem
            32-32-64), "resnet_v1s_50|101|152" (stem 64-64-128) and
            "resnet_vd_18|34|50|101|152" start from random weights without a network;
            any other string is a keras-hub preset; a keras-hub `ResNetBackbone` or a
            `keras.applications.ResNet50/101/152(include_top=False)` is copied with its
            weights.
        attention: "dual", "position", "channel", or None for the dilated FCN that the
            paper starts from.
        output_stride: 8, 16 or 32, the image's size over the features'.
        multi_grid: None or three absolute dilation rates of the last stage, such as
            (4, 8, 16).
        auxiliary_head: bool, an FCN head on the third stage, as in mmsegmentation.
        channel_energy: "released" (softmax(max - E), as in all published code) or
            "paper" (softmax(E), equation 3).
        align_corners: bool, how logits are enlarged; True for the official weights.
        dropout: float in [0, 1), rate of whole channels before each classifier.
        preprocessing: "auto", "imagenet", "caffe", or None for images used as they are.
        class_names: None or K strings, kept in the model.
        image_shape: (H, W, 3), None where a size may vary.
        name: str.

    Returns:
        A `SegmentationModel` from RGB images (B, H, W, 3) in [0, 255] to logits
        (B, H, W, K), float32, of any H and W from 1 up. Heads: "fused", and with "dual"
        "position" and "channel"; "auxiliary" on request.

    Raises:
        ValueError: an argument out of its range, or a backbone that cannot be had.

    Example:

    >>> model = keras_danet.DANet(num_classes=19)
    >>> model.predict(images).argmax(-1)  # (B, H, W) class ids

    Reference: Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019.
    """
    _check_choice("attention", attention, ("dual", "position", "channel", None))
    _check_choice("channel_energy", channel_energy, ("released", "paper"))
    _check_common(num_classes, class_names, image_shape)
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout!r}")
    image = keras.Input(image_shape, name="image")
    normalized = _normalize(image, backbone, preprocessing)
    pyramid = build_backbone(backbone, output_stride, multi_grid)(normalized)
    logits = heads.danet_head(
        pyramid["P5"], num_classes, attention, channel_energy, dropout
    )
    if auxiliary_head:
        logits["auxiliary"] = heads.auxiliary_head(pyramid["P4"], num_classes, dropout)
    return SegmentationModel(
        image,
        _enlarge(logits, image, align_corners),
        head_weights={head: DANET_HEAD_WEIGHTS[head] for head in logits},
        weight_decay=1e-4,
        class_names=class_names,
        name=name,
    )


def DFDAM(
    num_classes,
    backbone="resnet_18",
    *,
    context="dafm",
    spatial="pam2d",
    align_corners=False,
    preprocessing="auto",
    class_names=None,
    image_shape=(None, None, 3),
    name="dfdam",
):
    """Builds DF-DAM: an undilated ResNet whose stages two attention modules filter.

    Use it where speed or memory matters: about a tenth of DANet's operations.

    The paper leaves layer widths open; these reproduce its parameter counts, 11.57 M
    (ResNet-18, 19 classes) and 43.24 M (ResNet-101, 21 classes).

    Args:
        num_classes: int >= 2, K.
        backbone: str or model, as in `DANet`.
        context: "dafm", or "sum" for the ablation without channel weights.
        spatial: "pam2d", or "sum" for the ablation without the confidence map.
        align_corners: bool, how maps and logits are enlarged.
        preprocessing: "auto", "imagenet", "caffe", or None for images used as they are.
        class_names: None or K strings, kept in the model.
        image_shape: (H, W, 3), None where a size may vary.
        name: str.

    Returns:
        A `SegmentationModel` from RGB images (B, H, W, 3) in [0, 255] to logits
        (B, H, W, K), float32, of any H and W from 1 up. Heads: "fused", "context" and
        "spatial".

    Raises:
        ValueError: an argument out of its range, or a backbone that cannot be had.

    Example:

    >>> model = keras_danet.DFDAM(num_classes=19)
    >>> model.predict(images).argmax(-1)  # (B, H, W) class ids

    Reference: Xiong et al., "Differentiating Features for Scene Segmentation Based on
    Dedicated Attention Mechanisms", 2019.
    """
    _check_choice("context", context, ("dafm", "sum"))
    _check_choice("spatial", spatial, ("pam2d", "sum"))
    _check_common(num_classes, class_names, image_shape)
    image = keras.Input(image_shape, name="image")
    normalized = _normalize(image, backbone, preprocessing)
    pyramid = build_backbone(backbone)(normalized)
    logits = heads.dfdam_head(
        pyramid["P2"],
        pyramid["P4"],
        pyramid["P5"],
        num_classes,
        context,
        spatial,
        align_corners,
    )
    return SegmentationModel(
        image,
        _enlarge(logits, image, align_corners),
        head_weights=DFDAM_HEAD_WEIGHTS,
        weight_decay=5e-4,
        class_names=class_names,
        name=name,
    )


def _normalize(image, backbone, preprocessing):
    settings = find_normalization(backbone, preprocessing)
    if settings is None:
        return image
    return ImageNormalization(*settings, name="normalization")(image)


def _enlarge(logits, image, align_corners):
    return {
        head: BilinearResize(align_corners, dtype="float32", name=f"{head}_resize")(
            [x, image]
        )
        for head, x in logits.items()
    }


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )


def _check_common(num_classes, class_names, image_shape):
    if isinstance(num_classes, bool) or not isinstance(num_classes, int):
        raise ValueError(
            f"`num_classes` must be an int. Received: num_classes={num_classes!r}"
        )
    if num_classes < 2:
        raise ValueError(
            "`num_classes` must be at least 2: the logits go through a softmax, so a "
            "binary task has the two classes background and object. "
            f"Received: num_classes={num_classes}"
        )
    if class_names is not None and (
        isinstance(class_names, str) or len(class_names) != num_classes
    ):
        raise ValueError(
            f"`class_names` must name each of the {num_classes} classes. "
            f"Received: {len(class_names)} names, {class_names!r}"
        )
    sequence = isinstance(image_shape, (tuple, list)) and len(image_shape) == 3
    if not sequence or image_shape[2] != 3:
        raise ValueError(
            "`image_shape` must be (H, W, 3), RGB, with None where a size may vary. "
            f"Received: image_shape={image_shape!r}"
        )
