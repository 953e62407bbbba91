"""From features to named logits at feature size: the heads of both papers."""

import keras
from keras import layers

from keras_danet.layers import CAM, DAFM, PAM, PAM2D, BatchNormalization, BilinearResize


def _initializer():
    """PyTorch's default for convolutions, uniform in +-1 / sqrt(fan in).

    The reference heads keep it; its biases start in the same range, ours at zero. A new
    one for each layer: one object gives kernels of one shape the same values.
    """
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def conv_bn_relu(features, filters, kernel_size, name):
    """A convolution without bias, batch normalization and ReLU, named `name`_..."""
    x = layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=f"{name}_conv",
    )(features)
    x = BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def classify(features, num_classes, name, dropout=0.0):
    """Channel dropout and a 1x1 convolution: the layer `name`_logits, in float32."""
    if dropout:
        features = layers.SpatialDropout2D(dropout, name=f"{name}_dropout")(features)
    return layers.Conv2D(
        num_classes,
        1,
        kernel_initializer=_initializer(),
        dtype="float32",
        name=f"{name}_logits",
    )(features)


def danet_head(features, num_classes, attention, channel_energy, dropout):
    """DANet's head on the last stage.

    Args:
        features: (B, h, w, C).
        num_classes: int K.
        attention: "dual", "position", "channel" or None, see `DANet`.
        channel_energy: "released" or "paper", see `CAM`.
        dropout: float, rate of whole channels dropped before each classifier.

    Returns:
        Dict of name -> logits (B, h, w, K), float32: "fused", and with "dual" also
        "position" and "channel".

    Reference: DANet, Figure 2 and section 3.4 (fusion by sum).
    """
    filters = features.shape[-1] // 4
    if attention is None:
        x = conv_bn_relu(features, filters, 3, "fused")
        return {"fused": classify(x, num_classes, "fused", dropout)}
    branches = {}
    if attention in ("dual", "position"):
        module = PAM(name="position_attention")
        branches["position"] = _attend(features, filters, module, "position")
    if attention in ("dual", "channel"):
        module = CAM(energy=channel_energy, name="channel_attention")
        branches["channel"] = _attend(features, filters, module, "channel")
    if attention != "dual":
        (branch,) = branches.values()
        return {"fused": classify(branch, num_classes, "fused", dropout)}
    fused = layers.Add(name="fused_sum")(list(branches.values()))
    return {
        name: classify(x, num_classes, name, dropout)
        for name, x in {"fused": fused, **branches}.items()
    }


def _attend(features, filters, module, name):
    x = conv_bn_relu(features, filters, 3, f"{name}_in")
    return conv_bn_relu(module(x), filters, 3, f"{name}_out")


def auxiliary_head(features, num_classes, dropout):
    """mmsegmentation's FCN head on the third stage: logits (B, h, w, K), float32."""
    x = conv_bn_relu(features, features.shape[-1] // 4, 3, "auxiliary")
    return classify(x, num_classes, "auxiliary", dropout)


def dfdam_head(low, middle, high, num_classes, context, spatial, align_corners):
    """DF-DAM's head on the lowest and the two highest stages.

    Args:
        low: (B, h, w, C), the lowest stage, P2.
        middle: (B, h/4, w/4, C'), P4.
        high: (B, h/8, w/8, C''), P5.
        num_classes: int K.
        context: "dafm" or "sum", see `DFDAM`.
        spatial: "pam2d" or "sum", see `DFDAM`.
        align_corners: bool, see `BilinearResize`.

    Returns:
        Dict of name -> logits (., ., ., K), float32: "fused" and "spatial" at the size
        of `low`, "context" at that of `middle`.

    Reference: DF-DAM, Figure 2 and sections 3.2 to 3.4.
    """
    filters = 128
    if context == "dafm":
        context_map = DAFM(filters, align_corners, name="dafm")([middle, high])
    else:
        context_map = _sum_stages(middle, high, filters, align_corners)
    spatial_map = conv_bn_relu(low, filters, 1, "spatial_lateral")
    enlarged = BilinearResize(align_corners, name="context_enlarge")(
        [context_map, spatial_map]
    )
    if spatial == "pam2d":
        spatial_map = PAM2D(name="pam2d")([spatial_map, enlarged])
    fused = layers.Add(name="fused_sum")([spatial_map, enlarged])
    maps = {"fused": fused, "context": context_map, "spatial": spatial_map}
    return {
        name: classify(conv_bn_relu(x, 64, 3, f"{name}_refine"), num_classes, name)
        for name, x in maps.items()
    }


def _sum_stages(middle, high, filters, align_corners):
    """The ablation's plain sum: DAFM with every channel weight 1."""
    high = BilinearResize(align_corners, name="high_enlarge")([high, middle])
    middle = conv_bn_relu(middle, filters, 1, "low_lateral")
    high = conv_bn_relu(high, filters, 1, "high_lateral")
    return layers.Add(name="context_sum")([middle, high])
