"""DANet in plain PyTorch, under the published names: what the checkpoints are of.

Written from the description of the reference, not from its code; the fixtures of
`test_checkpoints.py` tell whether it is right.
"""

import zlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def conv_bn(inputs, filters, kernel_size, stride=1, rate=1):
    padding = rate * (kernel_size // 2)
    conv = nn.Conv2d(inputs, filters, kernel_size, stride, padding, rate, bias=False)
    return conv, nn.BatchNorm2d(filters)


class Block(nn.Module):
    def __init__(self, inputs, filters, stride, rates, basic):
        super().__init__()
        outputs = filters if basic else 4 * filters
        sizes = (
            [(inputs, filters, 3, stride, rates[0]), (filters, filters, 3, 1, rates[1])]
            if basic
            else [
                (inputs, filters, 1),
                (filters, filters, 3, stride, rates[0]),
                (filters, outputs, 1),
            ]
        )
        for index, size in enumerate(sizes, start=1):
            conv, norm = conv_bn(*size)
            self.add_module(f"conv{index}", conv)
            self.add_module(f"bn{index}", norm)
        self.depth = len(sizes)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(*conv_bn(inputs, outputs, 1, stride))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        for index in range(1, self.depth + 1):
            x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x))
            if index < self.depth:
                x = functional.relu(x)
        return functional.relu(x + identity)


class ResNet(nn.Module):
    """Stride 8: the first block of a dilated stage still has the rate before."""

    def __init__(self, depth, stem=None, multi_grid=None, mmseg=False, dilated=True):
        super().__init__()
        basic, width = depth < 50, 64 if stem is None else stem[-1]
        if stem is None:
            self.conv1, self.bn1 = conv_bn(3, 64, 7, 2)
        else:
            layers = [*conv_bn(3, stem[0], 3, 2), nn.ReLU()]
            layers += [*conv_bn(stem[0], stem[1], 3), nn.ReLU()]
            layers += [*conv_bn(stem[1], stem[2], 3), nn.ReLU()]
            if mmseg:
                self.stem = nn.Sequential(*layers)
            else:
                self.conv1, self.bn1 = nn.Sequential(*layers[:-2]), layers[-2]
        for stage, count in enumerate(BLOCKS[depth]):
            filters, blocks = 64 * 2**stage, []
            new = {2: 2, 3: 4}.get(stage, 1) if dilated else 1
            old = {2: 1, 3: 2}.get(stage, 1) if dilated else 1
            for index in range(count):
                rates = (old if index == 0 else new, new)
                if stage == 3 and multi_grid:
                    rates = (multi_grid[index % 3],) * 2
                strided = index == 0 and (stage == 1 or (stage > 1 and not dilated))
                blocks.append(Block(width, filters, 2 if strided else 1, rates, basic))
                width = filters if basic else 4 * filters
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.width = width

    def forward(self, x):
        if hasattr(self, "stem"):
            x = self.stem(x)
        else:
            x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, 2, 1)
        outputs = []
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
            outputs.append(x)
        return outputs


def attend_positions(x, query, key, value, gamma):
    batch, channels, height, width = x.shape
    query, key, value = (conv(x).flatten(2) for conv in (query, key, value))
    scores = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
    attended = value @ scores.transpose(1, 2)
    return gamma * attended.reshape(batch, channels, height, width) + x


def attend_channels(x, gamma):
    flat = x.flatten(2)
    energy = flat @ flat.transpose(1, 2)
    scores = torch.softmax(energy.amax(-1, keepdim=True) - energy, dim=-1)
    return gamma * (scores @ flat).reshape(x.shape) + x


def conv_bn_relu(inputs, filters):
    return nn.Sequential(*conv_bn(inputs, filters, 3), nn.ReLU())


class PAM(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.query_conv = nn.Conv2d(channels, channels // 8, 1)
        self.key_conv = nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return attend_positions(
            x, self.query_conv, self.key_conv, self.value_conv, self.gamma
        )


class CAM(nn.Module):
    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return attend_channels(x, self.gamma)


class OfficialHead(nn.Module):
    def __init__(self, inputs, num_classes):
        super().__init__()
        width = inputs // 4
        self.conv5a, self.conv5c = (
            conv_bn_relu(inputs, width),
            conv_bn_relu(inputs, width),
        )
        self.sa, self.sc = PAM(width), CAM()
        self.conv51, self.conv52 = (
            conv_bn_relu(width, width),
            conv_bn_relu(width, width),
        )
        for name in ("conv6", "conv7", "conv8"):
            classifier = nn.Sequential(nn.Identity(), nn.Conv2d(width, num_classes, 1))
            self.add_module(name, classifier)

    def forward(self, x):
        position = self.conv51(self.sa(self.conv5a(x)))
        channel = self.conv52(self.sc(self.conv5c(x)))
        return {
            "fused": self.conv8(position + channel),
            "position": self.conv6(position),
            "channel": self.conv7(channel),
        }


class OfficialDANet(nn.Module):
    """Its logits at feature size, by head."""

    def __init__(self, num_classes, depth, stem=None, multi_grid=None):
        super().__init__()
        self.pretrained = ResNet(depth, stem, multi_grid)
        self.head = OfficialHead(self.pretrained.width, num_classes)

    def forward(self, x):
        return self.head(self.pretrained(x)[-1])


class MmsegDANet(nn.Module):
    """Its logits at feature size, by head; modules are only there for their names."""

    def __init__(self, num_classes, depth):
        super().__init__()
        self.backbone = ResNet(depth, (32, 32, 64), mmseg=True)
        inputs = self.backbone.width
        official = OfficialHead(inputs, num_classes)
        self.decode_head = nn.ModuleDict(
            {
                "conv_seg": official.conv8[1],
                "pam_in_conv": _conv_module(official.conv5a),
                "pam": nn.ModuleDict(
                    {
                        "key_project": official.sa.key_conv,
                        "query_project": official.sa.query_conv,
                        "value_project": official.sa.value_conv,
                        "gamma": Scale(),
                    }
                ),
                "pam_out_conv": _conv_module(official.conv51),
                "pam_conv_seg": official.conv6[1],
                "cam_in_conv": _conv_module(official.conv5c),
                "cam": nn.ModuleDict({"gamma": Scale()}),
                "cam_out_conv": _conv_module(official.conv52),
                "cam_conv_seg": official.conv7[1],
            }
        )
        width = inputs // 8
        convs = nn.ModuleList([_conv_module(conv_bn_relu(inputs // 2, width))])
        self.auxiliary_head = nn.ModuleDict(
            {"conv_seg": nn.Conv2d(width, num_classes, 1), "convs": convs}
        )

    def forward(self, x):
        head, auxiliary = self.decode_head, self.auxiliary_head
        *_, c3, c4 = self.backbone(x)
        pam, cam = head["pam"], head["cam"]
        projections = [pam[f"{name}_project"] for name in ("query", "key", "value")]
        position = attend_positions(
            _run(head["pam_in_conv"], c4), *projections, pam["gamma"].scale
        )
        position = _run(head["pam_out_conv"], position)
        channel = attend_channels(_run(head["cam_in_conv"], c4), cam["gamma"].scale)
        channel = _run(head["cam_out_conv"], channel)
        return {
            "fused": head["conv_seg"](position + channel),
            "position": head["pam_conv_seg"](position),
            "channel": head["cam_conv_seg"](channel),
            "auxiliary": auxiliary["conv_seg"](_run(auxiliary["convs"][0], c3)),
        }


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.0))


def _conv_module(sequential):
    return nn.ModuleDict({"conv": sequential[0], "bn": sequential[1]})


def _run(module, x):
    return functional.relu(module["bn"](module["conv"](x)))


def randomize(module):
    """Weights drawn from each tensor's name, of a size that keeps signals in range."""
    residual = ("bn3.weight", "layer1.0.bn2.weight")
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        random = np.random.default_rng(zlib.crc32(name.encode()))
        normal = random.standard_normal(tuple(tensor.shape))
        if tensor.ndim == 4:
            value = normal * np.sqrt(2 / np.prod(tensor.shape[1:]))
        elif name.endswith("running_var"):
            value = random.uniform(0.5, 1.5, tuple(tensor.shape))
        elif name.endswith(("gamma", "gamma.scale")):
            value = np.full(tuple(tensor.shape), 0.6)
        elif name.endswith("weight"):
            scale = 0.25 if name.endswith(residual) else 0.5
            value = scale * (1 + 0.1 * normal)
        else:
            value = 0.1 * normal
        tensor.copy_(torch.from_numpy(np.asarray(value)))
    return module


def channels_first(images):
    """(B, H, W, C) array to the (B, C, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
