"""Gradients as NumPy arrays, the same call on TensorFlow, JAX and PyTorch."""

import keras
import numpy as np


def gradients(function, variables, inputs):
    """Gradients of `function(*inputs)` by every variable, then by every input.

    Args:
        function: takes the inputs as backend tensors, returns a scalar tensor; the
            variables are those it reads by itself, such as a built layer's weights.
        variables: list of `keras.Variable`, trainable and floating.
        inputs: list of floating arrays, or one array.

    Returns:
        A list of NumPy arrays: one per variable, then one per input, each of the
        shape of what it belongs to; zeros where the result does not depend on it.
    """
    if not isinstance(inputs, list | tuple):
        inputs = [inputs]
    inputs = [keras.ops.convert_to_tensor(value) for value in inputs]
    backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return backend[keras.backend.backend()](function, list(variables), inputs)


def _tensorflow(function, variables, inputs):
    import tensorflow as tf

    sources = [variable.value for variable in variables] + inputs
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        result = function(*inputs)
    found = tape.gradient(result, sources, unconnected_gradients="zero")
    return [np.asarray(tf.cast(gradient, "float64")) for gradient in found]


def _jax(function, variables, inputs):
    import jax

    def stateless(values, inputs):
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
            return function(*inputs)

    values = [variable.value for variable in variables]
    by_variables, by_inputs = jax.grad(stateless, argnums=(0, 1))(values, inputs)
    return [np.asarray(gradient, "float64") for gradient in by_variables + by_inputs]


def _torch(function, variables, inputs):
    import torch

    inputs = [value.detach().clone().requires_grad_() for value in inputs]
    sources = [variable.value for variable in variables] + inputs
    with torch.enable_grad():
        found = torch.autograd.grad(function(*inputs), sources, allow_unused=True)
    return [
        (torch.zeros_like(source) if gradient is None else gradient)
        .detach()
        .cpu()
        .double()
        .numpy()
        for source, gradient in zip(sources, found, strict=True)
    ]
