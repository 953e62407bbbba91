"""What PAM and CAM cost: by blocks, dense, and as the naive PyTorch modules.

    OMP_WAIT_POLICY=PASSIVE KERAS_BACKEND=tensorflow \\
        python examples/benchmarks/attention.py --output attention

measures the backend that KERAS_BACKEND names against the published modules written
plainly in PyTorch (1x1 convolutions, matmul, softmax, matmul), on the same input with
the same weights: 512 channels, float32, forward and with all gradients. All forms run
in turn in one process; the figures are medians and ratios of process CPU time (all
threads), which other programs on the machine disturb less than wall time, as long as
OpenMP's waiting threads sleep (OMP_WAIT_POLICY). Peak memory is that of one call in a
process of its own. The tables are printed and written to `attention.md`, the figures
to `attention.json`. It measures the CPU; nothing here was measured on a GPU.
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
import torch
from measure import (
    added_memory,
    in_own_process,
    interleaved,
    machine,
    markdown,
    write_record,
)
from naive_modules import naive_cam, naive_pam

from keras_danet.layers.cam import CAM
from keras_danet.layers.pam import PAM

CHANNELS = 512
GAMMA = 0.7
WORK = {False: "forward", True: "forward and gradients"}


def feature_map(positions, seed=0):
    """(1, H, W, 512) normal features with H * W = positions, H a power of two."""
    height = 2 ** (int(np.log2(positions)) // 2)
    rng = np.random.default_rng(seed)
    shape = (1, height, positions // height, CHANNELS)
    return rng.normal(size=shape).astype("float32")


def layer_of(form):
    """The built layer of a form; weights are the same whatever the form."""
    keras.utils.set_random_seed(0)
    name, block_size = form
    layer = CAM() if name == "CAM" else PAM(block_size=block_size)
    layer.build((None, None, None, CHANNELS))
    layer.gamma.assign(GAMMA)
    return layer


def keras_function(layer, x, training):
    """The layer's output, or all its gradients, compiled as the backend does it."""
    backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return backend[keras.backend.backend()](layer, x, training)


def _tensorflow(layer, x, training):
    import tensorflow as tf

    @tf.function
    def forward(x):
        return layer(x)

    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x)))
        return tape.gradient(loss, [x, *layer.trainable_variables])

    x = tf.constant(x)
    return lambda: (gradients if training else forward)(x)


def _jax(layer, x, training):
    import jax

    def forward(weights, x):
        return layer.stateless_call(weights, [], x)[0]

    def loss(weights, x):
        return (forward(weights, x) ** 2).sum()

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1)) if training else forward)
    weights = [variable.value for variable in layer.trainable_variables]
    x = jax.numpy.asarray(x)
    return lambda: jax.block_until_ready(compiled(weights, x))


def _torch(layer, x, training):
    weights = [variable.value for variable in layer.trainable_variables]
    return torch_function(layer, torch.from_numpy(x), weights, training)


def torch_function(module, x, weights, training):
    """The module's output without a graph, or its gradients by x and the weights."""

    def forward():
        with torch.no_grad():
            return module(x)

    def gradients():
        loss = module(x.requires_grad_()).square().sum()
        return torch.autograd.grad(loss, [x, *weights])

    return gradients if training else forward


def naive_function(name, x, training):
    """The naive module with the weights of our layer, on channels-first input."""
    layer = layer_of((name, None))
    arrays = [keras.ops.convert_to_numpy(weight) for weight in layer.trainable_weights]
    weights = [
        torch.from_numpy(
            np.ascontiguousarray(a.transpose(3, 2, 0, 1) if a.ndim == 4 else a)
        ).requires_grad_()
        for a in arrays
    ]
    module = naive_cam if name == "CAM" else naive_pam
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    return torch_function(lambda x: module(x, *weights), x, weights, training)


def forms_of(name):
    """Name -> form (layer, block_size) of each way that we have."""
    if name == "CAM":
        return {"CAM": ("CAM", None)}
    return {"PAM dense": ("PAM", None), "PAM": ("PAM", "auto")}


def compare(name, positions, training, rounds):
    """One row per form: its time, and ratios to naive PyTorch and to dense."""
    x = feature_map(positions)
    functions = {"naive PyTorch": naive_function(name, x, training)}
    for form, settings in forms_of(name).items():
        functions[form] = keras_function(layer_of(settings), x, training)
    if not training:
        _check_equal(functions)
    times = interleaved(functions, rounds)
    naive = times["naive PyTorch"]
    dense = times.get("PAM dense", naive)
    return [
        {
            "module": name,
            "N": positions,
            "work": WORK[training],
            "form": form,
            "CPU ms": 1e3 * time["cpu"],
            "CPU / naive": time["cpu"] / naive["cpu"],
            "CPU / dense": time["cpu"] / dense["cpu"] if name == "PAM" else "-",
            "wall ms": 1e3 * time["wall"],
            "wall / naive": time["wall"] / naive["wall"],
        }
        for form, time in times.items()
    ]


def _check_equal(functions):
    expected, *others = (function() for function in functions.values())
    expected = expected.numpy().transpose(0, 2, 3, 1)
    for output in others:
        difference = np.abs(keras.ops.convert_to_numpy(output) - expected).max()
        if difference > 1e-3 * np.abs(expected).max():
            raise RuntimeError(f"The forms disagree. Received: {difference=}")


def peak(form, positions, training):
    """MB added by one call at N, after one at 1/16 N has started the library."""

    def function(count):
        x = feature_map(count)
        if form == "naive PyTorch":
            return naive_function("PAM", x, training)
        return keras_function(layer_of(forms_of("PAM")[form]), x, training)

    function(positions // 16)()
    return added_memory(function(positions))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("attention"))
    parser.add_argument("--positions", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument(
        "--memory-positions", type=int, nargs="*", default=[8192, 32768]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=3, metavar=("FORM", "N", "TRAINING"))
    arguments = parser.parse_args()
    if arguments.peak:
        form, positions, training = arguments.peak
        print(json.dumps(peak(form, int(positions), training == "True")))
        return
    rows = [
        row
        for name in ("PAM", "CAM")
        for positions in arguments.positions
        for training in (False, True)
        for row in compare(name, positions, training, arguments.rounds)
    ]
    memory = [
        row
        for positions in arguments.memory_positions
        for training in (False, True)
        for row in compare_memory(positions, training)
    ]
    write(arguments.output, rows, memory)


def compare_memory(positions, training):
    """One row per form; above 16,384 positions only for the form that needs little."""
    forms = ["PAM"] if positions > 16384 else ["naive PyTorch", *forms_of("PAM")]
    return [
        {
            "module": "PAM",
            "N": positions,
            "work": WORK[training],
            "form": form,
            "peak added MB": in_own_process("--peak", form, positions, training),
        }
        for form in forms
    ]


def write(output, rows, memory):
    backend = keras.backend.backend()
    title = f"{backend}, {machine()}, float32"
    text = f"{title}\n\n{markdown(rows)}\n\n{markdown(memory)}\n"
    print(text)
    record = {"machine": title, "backend": backend, "time": rows, "memory": memory}
    write_record(output, text, record)


if __name__ == "__main__":
    main()
