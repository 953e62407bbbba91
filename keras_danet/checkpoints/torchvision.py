"""torchvision's and timm's ResNets: a backbone without a segmentation head."""

from keras_danet.checkpoints.names import Naming

# ours: theirs
SEVEN_BY_SEVEN = {
    "conv1_conv": "conv1",
    "conv1_bn": "bn1",
}
# Three 3x3 convolutions: the deep stem of timm and of the official DANet.
DEEP = {
    "conv1_conv": "conv1.0",
    "conv1_bn": "conv1.1",
    "conv2_conv": "conv1.3",
    "conv2_bn": "conv1.4",
    "conv3_conv": "conv1.6",
    "conv3_bn": "bn1",
}

TORCHVISION = Naming(
    title="torchvision / timm ResNet",
    backbone="",
    stems={1: SEVEN_BY_SEVEN, 3: DEEP},
    head={},
    auxiliary={},
    implied=lambda backbone: {},
)
