"""A model from a published checkpoint, or its weights for a model at hand."""

from keras_danet.backbones import named_resnet
from keras_danet.checkpoints.filling import fill
from keras_danet.checkpoints.reading import open_tensors
from keras_danet.checkpoints.settings import infer, recognize
from keras_danet.models import DANet


def from_checkpoint(source, **overrides):
    """Builds the model that a published checkpoint is of, and loads it.

    Use it to have the authors' or mmsegmentation's DANet in Keras, with their numbers,
    or a torchvision or timm ResNet as a backbone. Three namings are recognized, with or
    without a `module.` prefix, bare or inside {"state_dict": ...}:

    | source                | returns                    | set by the source          |
    |-----------------------|----------------------------|----------------------------|
    | official DANet        | `SegmentationModel`        | `align_corners=True`; for  |
    |                       |                            | a ResNet-101 with the 7x7  |
    |                       |                            | stem, the published one,   |
    |                       |                            | `multi_grid=(4, 8, 16)`    |
    | mmsegmentation DANet  | `SegmentationModel`        | `align_corners=False`      |
    | torchvision or timm   | keras-hub `ResNetBackbone` |                            |
    | ResNet                |                            |                            |

    Names and shapes tell the number of classes, the ResNet's depth and stem and whether
    there is an auxiliary head. The loading is strict: see `load_torch_weights`.

    Args:
        source: path of a PyTorch file (.pth, .pth.tar), of a .safetensors or .npz file,
            or a mapping of tensor name -> array. Only PyTorch files need torch.
        **overrides: arguments of `DANet` in place of those set by the source or of the
            defaults, such as `align_corners=True`, which mmsegmentation's checkpoints
            of 769x769 crops need, or `class_names`. What the tensors tell cannot be
            overridden; `with_classes` gives the loaded model other classes. Of a
            backbone: `image_shape`, `name`.

    Returns:
        A `SegmentationModel`, not compiled; or, from a ResNet, a keras-hub
        `ResNetBackbone` for `DANet(backbone=...)` and `DFDAM(backbone=...)`.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a PyTorch file, and torch is not installed.
        TypeError: a source that is neither path nor mapping, or an argument that
            `DANet` does not have.
        ValueError: as in `load_torch_weights`; a network that is none of these; an
            override that contradicts the tensors.

    Example:

    >>> model = keras_danet.from_checkpoint("DANet101.pth.tar")
    >>> backbone = keras_danet.from_checkpoint("resnet50-0676ba61.pth")
    >>> model = keras_danet.DANet(num_classes=11, backbone=backbone)

    Reference: https://github.com/junfu1115/DANet; mmsegmentation 1.2.2, configs/danet.
    """
    with open_tensors(source) as tensors:
        naming = recognize(tensors)
        try:
            told = infer(tensors.shapes, naming)
        except ValueError as error:
            raise ValueError(
                f"{tensors.origin} has names of the {naming.title}, but no network can "
                f"be told from them: {error}. It is another network, or damaged."
            ) from error
        if naming.head:
            model = _danet(told, naming.implied(told["backbone"]), overrides)
        else:
            _check_resnet_overrides(overrides)
            model = named_resnet(told["backbone"], **overrides)
        fill(model, tensors, naming)
    return model


def _check_resnet_overrides(overrides):
    """keras-hub's class would take any argument and drop it."""
    unknown = set(overrides) - {"image_shape", "name"}
    if unknown:
        raise TypeError(
            "The source is a ResNet without a segmentation head, which takes "
            "`image_shape` and `name` only. Give what it becomes to a builder: "
            "`DANet(num_classes, backbone=from_checkpoint(source), ...)`. "
            f"Received: {', '.join(sorted(unknown))}"
        )


def load_torch_weights(model, source):
    """Gives a model the weights of a published checkpoint.

    Use it where `from_checkpoint` would build another model than the one wanted, such
    as another output stride. Strict in both directions: every variable of the model is
    filled from one tensor, and every tensor of the source is used or a known extra
    (`num_batches_tracked`, ImageNet's classifier `fc`). So a bare ResNet is for
    `model.backbone`, not for a whole `SegmentationModel`. All is checked first: after
    an error the model is what it was.

    Settings without a weight are not checked: `align_corners`, `multi_grid`,
    `output_stride`, `channel_energy` and `preprocessing` must be those of the source.

    A PyTorch file is read by `torch.load(weights_only=True)`: of its pickle nothing is
    run but what makes tensors and NumPy floats. Checksums are verified where the format
    has them: PyTorch's zip and .npz, not .safetensors and PyTorch's format before 1.6.

    Args:
        model: `SegmentationModel` (`DANet` with `attention="dual"`), its `backbone`, or
            a keras-hub `ResNetBackbone`; not a ResNet-D, not `keras.applications`.
        source: as in `from_checkpoint`.

    Raises:
        FileNotFoundError, ImportError, TypeError: as in `from_checkpoint`.
        ValueError: a damaged file or one of another kind; a pickle that asks for
            anything but tensors; names or shapes that do not fit, with both lists and
            the likely cause; NaN, infinite values or negative variances.

    Example:

    >>> model = keras_danet.DANet(19, "resnet_101", output_stride=16)
    >>> keras_danet.load_torch_weights(model, "DANet101.pth.tar")
    """
    with open_tensors(source) as tensors:
        fill(model, tensors, recognize(tensors))


def _danet(told, implied, overrides):
    for key in told.keys() & overrides.keys():
        if overrides[key] != told[key]:
            raise ValueError(
                f"`{key}` is told by the tensors of the checkpoint and cannot be "
                f"overridden; it is {told[key]!r}. To train on other classes, give the "
                "loaded model to `with_classes`. "
                f"Received: {key}={overrides[key]!r}"
            )
    return DANet(**{**implied, **told, **overrides})
