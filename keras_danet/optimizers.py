"""The references' optimizer: SGD as PyTorch defines it, and the poly schedule."""

import keras
from keras import ops


def poly_decay(learning_rate, steps, power=0.9, end=0.0):
    """TODO."""
    return keras.optimizers.schedules.PolynomialDecay(
        float(learning_rate), steps, end_learning_rate=float(end), power=float(power)
    )


@keras.saving.register_keras_serializable(package="keras_danet")
class SGD(keras.optimizers.Optimizer):
    """TODO."""

    def __init__(
        self,
        learning_rate,
        momentum=0.9,
        weight_decay=1e-4,
        head_multiplier=1.0,
        *,
        backbone_paths=None,
        name="sgd",
        **kwargs,
    ):
        # The base class must not see the decay: it would apply it a second time,
        # decoupled from the momentum.
        super().__init__(learning_rate, weight_decay=None, name=name, **kwargs)
        self.momentum = float(momentum)
        self.coupled_weight_decay = float(weight_decay or 0.0)
        self.head_multiplier = float(head_multiplier)
        self.backbone_paths = None
        if backbone_paths is not None:
            self.set_backbone_paths(backbone_paths)

    def set_backbone_paths(self, paths):
        """Tell which variables are the backbone's, by `variable.path`, before build."""
        self.backbone_paths = sorted(paths)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = []
        if self.momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")
        # By index: in `update_step` TensorFlow's variable has no path any more.
        backbone = set(self.backbone_paths or ())
        self._multipliers = [
            1.0 if variable.path in backbone else self.head_multiplier
            for variable in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        step = ops.cast(learning_rate, variable.dtype) * self._multipliers[index]
        velocity = ops.cast(gradient, variable.dtype)
        velocity = velocity + self.coupled_weight_decay * variable
        if self.momentum:
            buffer = self.momentums[index]
            velocity = self.momentum * buffer + velocity
            self.assign(buffer, velocity)
        self.assign_sub(variable, step * velocity)

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.coupled_weight_decay,
            "head_multiplier": self.head_multiplier,
            "backbone_paths": self.backbone_paths,
        }
