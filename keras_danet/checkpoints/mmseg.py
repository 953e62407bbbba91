"""mmsegmentation's DANet: names, and what they leave unsaid."""

from keras_danet.checkpoints.names import Naming
from keras_danet.checkpoints.torchvision import SEVEN_BY_SEVEN

# ours: theirs
STEM = {
    "conv1_conv": "stem.0",
    "conv1_bn": "stem.1",
    "conv2_conv": "stem.3",
    "conv2_bn": "stem.4",
    "conv3_conv": "stem.6",
    "conv3_bn": "stem.7",
}
HEAD = {
    "position_in_conv": "decode_head.pam_in_conv.conv",
    "position_in_bn": "decode_head.pam_in_conv.bn",
    "channel_in_conv": "decode_head.cam_in_conv.conv",
    "channel_in_bn": "decode_head.cam_in_conv.bn",
    "position_attention/query": "decode_head.pam.query_project",
    "position_attention/key": "decode_head.pam.key_project",
    "position_attention/value": "decode_head.pam.value_project",
    "position_attention/gamma": "decode_head.pam.gamma.scale",
    "channel_attention/gamma": "decode_head.cam.gamma.scale",
    "position_out_conv": "decode_head.pam_out_conv.conv",
    "position_out_bn": "decode_head.pam_out_conv.bn",
    "channel_out_conv": "decode_head.cam_out_conv.conv",
    "channel_out_bn": "decode_head.cam_out_conv.bn",
    "position_logits": "decode_head.pam_conv_seg",
    "channel_logits": "decode_head.cam_conv_seg",
    "fused_logits": "decode_head.conv_seg",
}
AUXILIARY = {
    "auxiliary_conv": "auxiliary_head.convs.0.conv",
    "auxiliary_bn": "auxiliary_head.convs.0.bn",
    "auxiliary_logits": "auxiliary_head.conv_seg",
}

MMSEG = Naming(
    title="mmsegmentation DANet",
    backbone="backbone.",
    stems={1: SEVEN_BY_SEVEN, 3: STEM},
    head=HEAD,
    auxiliary=AUXILIARY,
    # Of its configurations those with 769x769 crops align corners; no name says so.
    implied=lambda backbone: {"align_corners": False},
)
