"""Matching: which tensor of a published naming belongs to which of our variables."""

import re
from collections.abc import Callable
from typing import NamedTuple

# Names of the weights inside a layer: ours, theirs (PyTorch's).
WEIGHTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Layers of a residual block: ours after "stack2_block0_", theirs after "layer3.0.".
# torchvision, timm, the official DANet and mmsegmentation agree on them.
BLOCK = {
    "0_conv": "downsample.0",
    "0_bn": "downsample.1",
    "1_conv": "conv1",
    "1_bn": "bn1",
    "2_conv": "conv2",
    "2_bn": "bn2",
    "3_conv": "conv3",
    "3_bn": "bn3",
}
# Tensors without a role here: PyTorch's counter of batches and ImageNet's classifier.
EXTRAS = r"(.+\.)?num_batches_tracked|{backbone}fc\.(weight|bias)"


class Naming(NamedTuple):
    """The names that one published code gives to a network's tensors.

    Attributes:
        title: str, for messages.
        backbone: prefix of the backbone's names.
        stems: dict of the number of stem convolutions -> dict of our layer -> theirs.
        head: dict of our layer -> theirs; of a weight where the layer is not enough.
        auxiliary: the same of the auxiliary head.
        implied: function of the backbone's name -> dict of the `DANet` arguments that
            names and shapes do not show.
    """

    title: str
    backbone: str
    stems: dict[int, dict[str, str]]
    head: dict[str, str]
    auxiliary: dict[str, str]
    implied: Callable[[str], dict]

    @property
    def roots(self):
        """The first components of its names."""
        stem = [name for table in self.stems.values() for name in table.values()]
        stages = [f"layer{stage}." for stage in (1, 2, 3, 4)]
        names = [self.backbone + name for name in [*stem, *stages, "fc."]]
        names += [*self.head.values(), *self.auxiliary.values()]
        return {name.partition(".")[0] for name in names}

    def is_extra(self, name):
        """Whether a tensor is known and has no role here."""
        pattern = EXTRAS.format(backbone=re.escape(self.backbone))
        return re.fullmatch(pattern, name) is not None


def match_variables(model, naming):
    """Our variables by the names that a published naming gives them.

    Args:
        model: `SegmentationModel`, or a ResNet with keras-hub's layer names.
        naming: `Naming`.

    Returns:
        A pair: dict of their name -> variable, and a list of the paths of variables
        that the naming has no name for.
    """
    backbone = getattr(model, "backbone", None) or model
    table = _backbone_table(backbone, naming)
    variables = layer_variables(backbone)
    if backbone is not model:
        table |= naming.head | naming.auxiliary
        variables |= layer_variables(model, but="backbone")
    named, nameless = {}, []
    for path, variable in variables.items():
        name = _their_name(path, table)
        if name is None:
            nameless.append(path)
        else:
            named[name] = variable
    return named, nameless


def layer_variables(model, but=None):
    """{"conv1_conv/kernel": variable, ...} of every layer but the one named `but`."""
    found = {}
    for layer in model.layers:
        if layer.name == but:
            continue
        for variable in layer.weights:
            inner = variable.path.rpartition(f"{layer.name}/")[2]
            found[f"{layer.name}/{inner}"] = variable
    return found


def _backbone_table(backbone, naming):
    layers = [layer.name for layer in backbone.layers]
    convolutions = sum(
        re.fullmatch(r"conv\d_conv", name) is not None for name in layers
    )
    table = dict(naming.stems.get(convolutions, {}))
    for name in layers:
        match = re.fullmatch(r"stack(\d)_block(\d+)_(\d_(?:conv|bn))", name)
        if match:
            stage, block, position = match.groups()
            table[name] = f"layer{int(stage) + 1}.{block}.{BLOCK[position]}"
    return {ours: naming.backbone + theirs for ours, theirs in table.items()}


def _their_name(path, table):
    if path in table:
        return table[path]
    layer, _, weight = path.rpartition("/")
    if layer in table and weight in WEIGHTS:
        return f"{table[layer]}.{WEIGHTS[weight]}"
    return None


def their_shape(shape):
    """The shape that one of our variables has there: kernels are (out, in, h, w)."""
    if len(shape) == 4:
        return (shape[3], shape[2], shape[0], shape[1])
    return tuple(shape)


def to_ours(array, shape):
    """Their array in our variable's order and shape."""
    if len(shape) == 4:
        return array.transpose(2, 3, 1, 0)
    return array.reshape(shape)
