"""The official DANet (junfu1115/DANet): names, and what they leave unsaid."""

from keras_danet.checkpoints.names import Naming
from keras_danet.checkpoints.torchvision import DEEP, SEVEN_BY_SEVEN

# ours: theirs. In their words sa is the position and sc the channel attention.
HEAD = {
    "position_in_conv": "head.conv5a.0",
    "position_in_bn": "head.conv5a.1",
    "channel_in_conv": "head.conv5c.0",
    "channel_in_bn": "head.conv5c.1",
    "position_attention/query": "head.sa.query_conv",
    "position_attention/key": "head.sa.key_conv",
    "position_attention/value": "head.sa.value_conv",
    "position_attention/gamma": "head.sa.gamma",
    "channel_attention/gamma": "head.sc.gamma",
    "position_out_conv": "head.conv51.0",
    "position_out_bn": "head.conv51.1",
    "channel_out_conv": "head.conv52.0",
    "channel_out_bn": "head.conv52.1",
    "position_logits": "head.conv6.1",
    "channel_logits": "head.conv7.1",
    "fused_logits": "head.conv8.1",
}


def implied(backbone):
    """Logits are enlarged with aligned corners; the published ResNet-101, the only
    one with the 7x7 stem, was trained with a multi-grid."""
    if backbone == "resnet_101":
        return {"align_corners": True, "multi_grid": (4, 8, 16)}
    return {"align_corners": True}


OFFICIAL = Naming(
    title="official DANet",
    backbone="pretrained.",
    stems={1: SEVEN_BY_SEVEN, 3: DEEP},
    head=HEAD,
    auxiliary={},
    implied=implied,
)
