"""A trained model on other classes, and with its backbone held still."""

import copy

from keras_danet.segmentation_model import SegmentationModel


def with_classes(model, num_classes, class_names=None):
    """The same network for other classes: every weight kept but the classifiers'.

    Use it to fine-tune a trained model on a data set of one's own.

    Args:
        model: `SegmentationModel`; it is left as it is.
        num_classes: int >= 2, K.
        class_names: None or K strings.

    Returns:
        A new `SegmentationModel`, not compiled, whose classifiers (the layers
        "..._logits") are new and random.

    Raises:
        ValueError: `num_classes` < 2, or as many names as classes are not given.

    Example:

    >>> model = keras_danet.from_checkpoint("DANet101.pth.tar")
    >>> mine = keras_danet.with_classes(model, 4)
    """
    if not isinstance(model, SegmentationModel):
        raise ValueError(
            "`model` must be a `SegmentationModel`, as DANet and DFDAM return. "
            f"Received: {type(model).__name__}"
        )
    enough = isinstance(num_classes, int) and num_classes >= 2
    if not enough or (class_names and len(class_names) != num_classes):
        raise ValueError(
            "`num_classes` must be an int of at least 2, with a name for each class or "
            f"none at all. Received: num_classes={num_classes!r}, "
            f"class_names={class_names!r}"
        )
    config = copy.deepcopy(model.get_config())
    classifiers = {f"{head}_logits" for head in model.heads}
    for layer in config["layers"]:
        if layer["name"] in classifiers:
            layer["config"]["filters"] = num_classes
    config["class_names"] = class_names
    new = SegmentationModel.from_config(config)
    for layer in model.layers:
        if layer.name not in classifiers and layer.weights:
            new.get_layer(layer.name).set_weights(layer.get_weights())
    return new


def freeze_backbone(model, frozen=True):
    """Holds the backbone's weights and its batch statistics, or lets them go again.

    Use it when few images are at hand, or for a few epochs while the new head settles.
    A frozen backbone also normalizes by its moving statistics in training, and stays
    frozen in a saved file. A compiled model is compiled again with the same arguments:
    the optimizer starts afresh, since its slots belong to the weights it trains.

    Args:
        model: `SegmentationModel` with a backbone.
        frozen: bool.

    Returns:
        `model` itself.

    Raises:
        ValueError: a model without a layer "backbone".

    Example:

    >>> keras_danet.freeze_backbone(model).fit(train, epochs=2, steps_per_epoch=100)
    >>> keras_danet.freeze_backbone(model, False).fit(train, epochs=8, ...)
    """
    if getattr(model, "backbone", None) is None:
        raise ValueError(
            'The model has no layer "backbone"; freeze layers of your own by '
            f"`layer.trainable = False`. Received: {model!r}"
        )
    model.backbone.trainable = not frozen
    if model.compiled:
        model.recompile()
    return model
