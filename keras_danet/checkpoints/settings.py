"""What names and shapes of a checkpoint tell about the network they came from."""

import re

from keras_danet.backbones import DEPTHS, FAMILIES
from keras_danet.checkpoints.mmseg import MMSEG
from keras_danet.checkpoints.official import OFFICIAL
from keras_danet.checkpoints.torchvision import TORCHVISION

NAMINGS = (OFFICIAL, MMSEG, TORCHVISION)


def recognize(tensors):
    """The `Naming` that most names of `tensors` belong to.

    Raises:
        ValueError: hardly a name belongs to one.
    """

    def known(naming):
        return sum(name.partition(".")[0] in naming.roots for name in tensors.shapes)

    naming = max(NAMINGS, key=known)
    if 2 * known(naming) <= len(tensors.shapes):
        raise ValueError(
            f"{tensors.origin} has names of none of the networks that can be read: "
            f"{', '.join(naming.title for naming in NAMINGS)}. Received: "
            + ", ".join(map(repr, list(tensors.shapes)[:8]))
        )
    return naming


def infer(shapes, naming):
    """The arguments of `DANet` that names and shapes tell.

    Args:
        shapes: dict of their name -> their shape.
        naming: the `Naming` of these names.

    Returns:
        Dict: "backbone" and, where the naming has heads, "num_classes" and
        "auxiliary_head".

    Raises:
        ValueError: a tensor to tell it by is absent, or the network is another.
    """
    told = {"backbone": _backbone(shapes, naming)}
    if naming.head:
        for kind in ("position", "channel"):
            gamma = naming.head[f"{kind}_attention/gamma"]
            if gamma not in shapes:
                raise ValueError(f"it has no {kind} attention ({gamma!r})")
        told["num_classes"] = _sizes(shapes, naming.head["fused_logits"])[0]
        auxiliary = {name.partition(".")[0] for name in naming.auxiliary.values()}
        told["auxiliary_head"] = any(
            name.partition(".")[0] in auxiliary for name in shapes
        )
    return told


def _backbone(shapes, naming):
    prefix = naming.backbone
    if f"{prefix}layer1.0.downsample.2.weight" in shapes:
        raise ValueError("it is a ResNet-D, whose shortcuts pool")
    filters = _stem_filters(shapes, naming)
    families = [
        family
        for family, (stem, _, suffix, _) in FAMILIES.items()
        if stem == filters and not suffix
    ]
    if not families:
        raise ValueError(f"its stem of {filters} filters is none of a known ResNet's")
    third = re.compile(rf"{re.escape(prefix)}layer\d\.\d+\.conv3\.weight")
    bottleneck = any(third.fullmatch(name) for name in shapes)
    block = "bottleneck_block" if bottleneck else "basic_block"
    blocks = tuple(_count_blocks(shapes, prefix, stage) for stage in (1, 2, 3, 4))
    depths = [depth for depth, known in DEPTHS.items() if known == (block, blocks)]
    if not depths or depths[0] not in FAMILIES[families[0]][3]:
        raise ValueError(
            f"its stages of {blocks} blocks ({block}) with a stem of {filters} filters "
            "are none of a known ResNet's"
        )
    return f"{families[0]}_{depths[0]}"


def _stem_filters(shapes, naming):
    first = []
    for table in naming.stems.values():
        names = [
            naming.backbone + theirs
            for ours, theirs in table.items()
            if ours.endswith("_conv")
        ]
        if f"{names[0]}.weight" in shapes:
            return tuple(_sizes(shapes, name)[0] for name in names)
        first.append(f"{names[0]}.weight")
    raise ValueError(f"it has no stem ({' or '.join(map(repr, first))})")


def _sizes(shapes, layer):
    """The shape of a convolution's weights."""
    shape = shapes.get(f"{layer}.weight", ())
    if len(shape) != 4:
        raise ValueError(f"it has no convolution {layer!r}")
    return shape


def _count_blocks(shapes, prefix, stage):
    pattern = re.compile(rf"{re.escape(prefix)}layer{stage}\.(\d+)\.")
    matches = (pattern.match(name) for name in shapes)
    return len({match.group(1) for match in matches if match})
