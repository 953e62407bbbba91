"""Weights outlive an error in the middle of `fit` or `predict`, on JAX too."""

import contextlib

import keras


@contextlib.contextmanager
def weights_survive(model, training=False):
    """A context in which an error leaves `model` the weights of its last whole step.

    On JAX, Keras 3 takes the values out of the variables while it trains or evaluates
    or predicts and puts them back at the end of the epoch: a bad label in the third
    batch, or Ctrl-C, would leave a model without weights. TensorFlow and PyTorch need
    nothing.

    Args:
        model: a built `keras.Model`.
        training: bool, whether the optimizer's variables are taken as well.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    variables = _variables(model, training)
    # A step may use up the buffers it is given; then `_jax_state` is newer.
    before = [variable.value for variable in variables]
    model._jax_state = None
    try:
        yield
    except BaseException:
        if model._jax_state is not None:
            model._jax_state_synced = False
            model.jax_state_sync()
            model._jax_state = None
        for variable, value in zip(variables, before, strict=True):
            if variable._value is None:
                variable.assign(value)
        raise


def _variables(model, training):
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not training:
        return [*model.variables, *model.metrics_variables]
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return [*model.variables, *optimizer.variables, *model.metrics_variables]
