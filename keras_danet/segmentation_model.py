"""The Keras model that trains several heads on one label map and predicts with one."""

import contextlib

import keras
from keras import ops

from keras_danet.epoch_length import check_steps
from keras_danet.label_check import checked_arrays, checked_stream
from keras_danet.losses import CrossEntropy
from keras_danet.metrics import MeanIoU
from keras_danet.optimizers import SGD
from keras_danet.replicas import refuse_workers, replica_count
from keras_danet.weight_guard import weights_survive

MAIN_HEAD = "fused"


@keras.saving.register_keras_serializable(package="keras_danet")
class SegmentationModel(keras.Model):
    """A functional model whose heads share one label map; it predicts with "fused".

    `DANet` and `DFDAM` return it. `model(images)`, `predict`, `model.output` and an
    export give the main head's logits (B, H, W, K), and compute no other head. `fit`
    takes one label map (B, H, W) or (B, H, W, 1) of class ids; the loss is

    `loss = sum over heads of head_weights[head] * loss(label, logits[head])`,

    with each head's own loss logged beside it (`fused_loss`, ...); metrics and
    `val_loss` are the main head's. Labels are looked at on the host first: one that is
    neither a class nor ignored is an error that names it.

    Args:
        *args: the image input and a dict of head name -> logits (B, H, W, K).
        head_weights: dict of head name -> float, the default of `compile`.
        weight_decay: float, that of the default optimizer.
        class_names: None or K strings.
        **kwargs: `name`, `trainable`.

    Example:

    >>> model = keras_danet.DFDAM(num_classes=11)
    >>> model.compile()
    >>> model.fit(images, labels, batch_size=4)

    Reference: DANet, section 4.1 (multi-loss); DF-DAM, equation 12.
    """

    # Varargs and varkw by these names are how Keras tells that the graph can be
    # rebuilt from its config.
    def __init__(
        self, *args, head_weights=None, weight_decay=1e-4, class_names=None, **kwargs
    ):
        super().__init__(*args, **kwargs)
        logits = self._outputs_struct
        if not isinstance(logits, dict) or MAIN_HEAD not in logits:
            raise ValueError(
                f'The outputs must be a dict of head name -> logits, "{MAIN_HEAD}" the '
                "one that predicts. Received: outputs "
                f"{sorted(logits) if isinstance(logits, dict) else type(logits)}"
            )
        main = keras.Model(self.inputs[0], logits[MAIN_HEAD])
        # In a closure, so that the inner model is neither tracked nor saved again.
        self._predict_main = lambda images: main(images, training=False)
        self.heads = tuple(sorted(logits, key=lambda head: (head != MAIN_HEAD, head)))
        self.num_classes = logits[MAIN_HEAD].shape[-1]
        self.class_names = None if class_names is None else list(class_names)
        self.weight_decay = weight_decay
        self.head_weights = {head: 1.0 for head in self.heads}
        self._set_head_weights(head_weights)
        self._head_losses = [
            keras.metrics.Mean(name=f"{head}_loss") for head in self.heads
        ]
        self._shows_head_losses = len(self.heads) > 1

    @property
    def backbone(self):
        """The model "backbone" inside, or None where the graph has none."""
        names = [layer.name for layer in self.layers]
        return self.get_layer("backbone") if "backbone" in names else None

    @property
    def output(self):
        return self._outputs_struct[MAIN_HEAD]

    @property
    def output_shape(self):
        return self.output.shape

    def __call__(self, *args, **kwargs):
        images = args[0] if args else kwargs.get("inputs")
        _check_images(getattr(images, "shape", None))
        return super().__call__(*args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if training:
            return super().call(inputs, training=True, mask=mask)
        return self._predict_main(inputs)

    def compute_output_spec(self, inputs, training=None, mask=None):
        logits = super().compute_output_spec(inputs, training=training, mask=mask)
        return logits if training else logits[MAIN_HEAD]

    def compile(
        self,
        optimizer=None,
        loss=None,
        metrics=None,
        *,
        head_weights=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Sets how the model trains; without arguments, as its paper does.

        Args:
            optimizer: `SGD(0.01, momentum=0.9)` with the paper's weight decay, unless
                given.
            loss: one loss of (label, logits), used for every head; `CrossEntropy()`
                unless given.
            metrics: list, of the main head; unless given a `MeanIoU` that ignores the
                class that the loss ignores.
            head_weights: dict of head name -> float; heads left out keep their weight.
            weighted_metrics, run_eagerly, steps_per_execution, jit_compile,
                auto_scale_loss: as in `keras.Model.compile`.

        Raises:
            ValueError: a head the model does not have, or several losses.
        """
        if isinstance(loss, (dict, list, tuple)):
            raise ValueError(
                "`loss` is one loss, used for every head; weigh the heads by "
                f"`head_weights`. Received: loss={loss!r}"
            )
        self._set_head_weights(head_weights)
        if optimizer is None:
            optimizer = SGD(0.01, momentum=0.9, weight_decay=self.weight_decay)
        optimizer = keras.optimizers.get(optimizer)
        self._tell_backbone(optimizer)
        loss = CrossEntropy() if loss is None else loss
        if metrics is None:
            metrics = [MeanIoU(self.num_classes, _ignore_class(loss))]
        settings = {
            "loss": loss,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
            "auto_scale_loss": auto_scale_loss,
        }
        super().compile(optimizer=optimizer, **settings)
        self._requested_jit_compile = jit_compile
        # In a closure, so that Keras does not track (and save) the metrics twice.
        self._compile_again = lambda fresh: self.compile(fresh, **settings)

    def _set_head_weights(self, head_weights):
        unknown = set(head_weights or {}) - set(self.heads)
        if unknown:
            raise ValueError(
                f"This model has the heads {', '.join(self.heads)}. "
                f"Received: head_weights={head_weights!r}"
            )
        self.head_weights = {**self.head_weights, **(head_weights or {})}

    def _tell_backbone(self, optimizer):
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if isinstance(inner, SGD) and not inner.built and self.backbone is not None:
            paths = [v.path for v in self.backbone.trainable_variables]
            inner.set_backbone_paths(paths)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        # Keras's own share of a regularizer's loss for each replica.
        total = sum(map(self._aggregate_additional_loss, self.losses), start=0.0)
        images = ops.shape(y_pred[MAIN_HEAD])[0]
        for head, tracker in zip(self.heads, self._head_losses, strict=True):
            value = self._compile_loss(y, y_pred[head], sample_weight)
            tracker.update_state(value * replica_count(), sample_weight=images)
            total = total + self.head_weights[head] * value
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if isinstance(y_pred, dict):
            y_pred = y_pred[MAIN_HEAD]
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_metrics_result(self):
        results = super().get_metrics_result()
        if not self._shows_head_losses:
            for tracker in self._head_losses:
                results.pop(tracker.name, None)
        return results

    def fit(self, x=None, y=None, *args, **kwargs):
        """`keras.Model.fit` on one label map, every label checked on the host."""
        refuse_workers(self)
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "Keras's `class_weight` does not know label maps. Give the weights to "
                "the loss: `compile(loss=CrossEntropy(class_weights=[...]))`. "
                f"Received: class_weight={kwargs['class_weight']!r}"
            )
        check_steps("steps_per_epoch", kwargs.get("steps_per_epoch"), x)
        validation = kwargs.get("validation_data")
        check_steps("validation_steps", kwargs.get("validation_steps"), validation)
        if isinstance(validation, (tuple, list)):
            self._check(*validation[:2])
        elif validation is not None:
            kwargs["validation_data"] = self._check(validation, None)
        # Keras warns that it cannot shuffle a stream, unless told not to try.
        kwargs.setdefault("shuffle", y is not None)
        with weights_survive(self, training=True):
            return super().fit(self._check(x, y), y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """`keras.Model.evaluate` of the main head, every label checked on the host.

        For a score to report use `keras_danet.evaluate`, which runs whole images.
        """
        if not kwargs.pop("_use_cached_eval_dataset", False):
            check_steps("steps", kwargs.get("steps"), x)
            x = self._check(x, y)
        else:
            kwargs["_use_cached_eval_dataset"] = True
        with self._without_head_losses(), weights_survive(self):
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """`keras.Model.predict` of the main head: logits (B, H, W, K), an array."""
        _check_images(getattr(x, "shape", None))
        with weights_survive(self):
            return super().predict(x, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        self._check(x, y)
        with self._without_head_losses():
            return super().test_on_batch(x, y, *args, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        self._check(x, y)
        return super().train_on_batch(x, y, *args, **kwargs)

    def _check(self, x, y):
        """`x`, with its labels checked now or as they stream by."""
        ignore_class = _ignore_class(self.loss)
        if y is not None:
            checked_arrays(y, x, self.num_classes, ignore_class)
            return x
        return checked_stream(x, self.num_classes, ignore_class)

    @contextlib.contextmanager
    def _without_head_losses(self):
        """Evaluation runs one head: the others' losses would be stale."""
        shown, self._shows_head_losses = self._shows_head_losses, False
        try:
            yield
        finally:
            self._shows_head_losses = shown

    def get_config(self):
        return {
            **super().get_config(),
            "head_weights": dict(self.head_weights),
            "weight_decay": self.weight_decay,
            "class_names": self.class_names,
        }

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            # What was asked for, not what this backend made of it: "auto" becomes True
            # on JAX, which would compile slowly where the file is loaded on PyTorch.
            config["jit_compile"] = self._requested_jit_compile
            # `keras.models.clone_model` knows them from here only.
            config["head_weights"] = dict(self.head_weights)
            config.pop("loss_weights", None)
        return config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def recompile(self):
        """Compiles again with the same arguments, for weights frozen or released."""
        optimizer = self.optimizer
        self._compile_again(type(optimizer).from_config(optimizer.get_config()))
        self.optimizer.build(self.trainable_variables)


def _ignore_class(loss):
    """The label that `loss` does not count; 255 where it does not say."""
    return getattr(loss, "ignore_class", 255)


def _check_images(shape):
    if shape is None or getattr(shape, "rank", 0) is None:
        return
    if len(shape) != 4 or shape[-1] not in (3, None):
        raise ValueError(
            "The model reads RGB images of shape (B, H, W, 3). Add the batch axis with "
            "`image[None]`; repeat a gray image's channel three times; drop an alpha "
            f"channel with `image[..., :3]`. Received: shape={tuple(shape)}"
        )
