"""Position attention by blocks is exact, in memory linear in N."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.layers import position_attention as module
from keras_danet.layers.block_size import automatic_block_size, divide_into_blocks
from keras_danet.layers.pam import PAM
from keras_danet.layers.position_attention import position_attention
from tests.gradients import gradients
from tests.modules import features, relative_error

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax")
BACKEND = keras.backend.backend()
COMPILATIONS = {
    "tensorflow": ["static", "dynamic"],
    "jax": ["jit"],
    "torch": ["eager"],
}[BACKEND]
only_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="a mechanism of TensorFlow"
)
only_torch = pytest.mark.skipif(BACKEND != "torch", reason="a mechanism of PyTorch")


def arrays(positions, width=5, channels=6, batch=2):
    """Random query, key, value, and weights for a loss of the output."""
    shapes = [(batch, positions, c) for c in (width, width, channels, channels)]
    return [features(*shape, seed=seed) for seed, shape in enumerate(shapes)]


def compiled(function, compilation, inputs):
    """`function` as the backend compiles it for inputs of these shapes."""
    if compilation == "eager":
        return function
    if compilation == "jit":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    known = compilation.startswith("static")
    signature = [
        tf.TensorSpec(x.shape if known else (None, None, x.shape[-1])) for x in inputs
    ]
    return tf.function(function, signature, jit_compile=compilation.endswith("xla"))


def truth(query, key, value, weight):
    """Position attention in NumPy float64, and gradients of sum(output * weight)."""
    query, key, value, weight = (
        x.astype("float64") for x in (query, key, value, weight)
    )
    scores = query @ key.swapaxes(1, 2)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    d_scores = weight @ value.swapaxes(1, 2)
    d_scores = scores * (d_scores - (scores * d_scores).sum(-1, keepdims=True))
    gradients = (d_scores @ key, d_scores.swapaxes(1, 2) @ query)
    return scores @ value, (*gradients, scores.swapaxes(1, 2) @ weight)


def assert_exact(positions, block_size, compilation, **sizes):
    """Value within 1e-5 and all three gradients within 1e-4 of the truth."""
    *inputs, weight = arrays(positions, **sizes)
    expected, gradients_expected = truth(*inputs, weight)
    attend = compiled(
        lambda *inputs: position_attention(*inputs, block_size), compilation, inputs
    )
    output = attend(*map(ops.convert_to_tensor, inputs))
    assert relative_error(output, expected) <= 1e-5
    weight = ops.convert_to_tensor(weight)
    found = gradients(lambda *inputs: ops.sum(attend(*inputs) * weight), [], inputs)
    for actual, wanted in zip(found, gradients_expected, strict=True):
        if positions == 1:  # one key takes all: query and key have no gradient
            np.testing.assert_allclose(actual, wanted, atol=1e-6)
        else:
            assert relative_error(actual, wanted) <= 1e-4


@pytest.mark.parametrize("compilation", COMPILATIONS)
@pytest.mark.parametrize(
    "positions, block_size", [(1, 4), (7, 1), (77, 32), (500, 125), (500, 999)]
)
def test_blocks_are_exact(positions, block_size, compilation):
    assert_exact(positions, block_size, compilation)


@pytest.mark.parametrize("compilation", COMPILATIONS)
def test_automatic_blocks_are_exact_at_4096(compilation):
    assert_exact(4096, "auto", compilation, width=2, channels=3, batch=1)


@pytest.mark.parametrize("positions", [1, 77])
def test_automatic_blocks_are_exact_where_n_is_unknown(positions):
    assert_exact(positions, "auto", COMPILATIONS[-1])


@pytest.mark.parametrize("block_size", [None, 32])
def test_both_forms_are_exact_eagerly(block_size):
    assert_exact(77, block_size, "eager")


@only_tensorflow
@pytest.mark.parametrize("compilation", ["static xla", "dynamic xla"])
@pytest.mark.parametrize("positions, block_size", [(77, 32), (1500, "auto")])
def test_blocks_are_exact_under_xla(positions, block_size, compilation):
    assert_exact(positions, block_size, compilation)


@only_tensorflow
@pytest.mark.parametrize("xla", [False, True])
def test_gradient_inside_a_compiled_step(xla):
    import tensorflow as tf

    *inputs, weight = arrays(77)

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, x.shape[-1])) for x in inputs],
        jit_compile=xla,
    )
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = tf.reduce_sum(position_attention(*inputs, 20) * weight)
        return tape.gradient(result, inputs)

    _, expected = truth(*inputs, weight)
    for actual, wanted in zip(step(*inputs), expected, strict=True):
        assert relative_error(actual, wanted) <= 1e-4


def test_automatic_block_size():
    sizes = {1: 32768, 1024: 1024, 4096: 512, 32768: 181}
    assert {n: automatic_block_size(n) for n in sizes} == sizes
    unknown = {n: int(automatic_block_size(ops.convert_to_tensor(n))) for n in sizes}
    assert unknown == sizes


def test_blocks_that_divide_the_positions_are_preferred():
    assert divide_into_blocks(32768, 181) == (256, 128)
    assert divide_into_blocks(9216, 341) == (32, 288)
    assert divide_into_blocks(9409, 338) == (28, 337)  # 97 x 97: 27 rows of padding
    assert divide_into_blocks(7, 512) == (1, 7)
    unknown = divide_into_blocks(
        ops.convert_to_tensor(9216), ops.convert_to_tensor(341)
    )
    assert tuple(map(int, unknown)) == (28, 330)


def test_automatic_choice():
    dense = module._form(77, None)
    fewest, most = {"torch": (256, 257)}.get(BACKEND, (1024, 1025))
    assert module._form(fewest, "auto") is dense
    assert module._form(most, "auto") is not dense
    assert module._form(None, "auto") is not dense
    assert module._form(77, 32) is not dense


def test_a_clone_without_blocks_has_the_same_weights_and_output():
    inputs = keras.Input((None, None, 16))
    model = keras.Model(inputs, PAM(block_size=10)(inputs))
    model.layers[-1].gamma.assign(0.7)

    def without_blocks(layer):
        config = layer.get_config()
        if isinstance(layer, PAM):
            config["block_size"] = None
        return type(layer).from_config(config)

    clone = keras.models.clone_model(model, clone_function=without_blocks)
    clone.set_weights(model.get_weights())
    assert clone.layers[-1].block_size is None
    x = features(2, 5, 7, 16)
    assert relative_error(clone(x), ops.convert_to_numpy(model(x))) <= 1e-5


def test_scores_of_asked_positions_equal_the_dense_rows():
    layer = PAM()
    x = features(2, 6, 9, 16)
    scores = ops.convert_to_numpy(layer(x, return_attention_scores=True)[1])
    positions = [(0, 0), (5, 8), (3, 4), (3, 4)]
    rows = layer.attention_scores(x, positions)
    assert rows.shape == (2, 4, 54)
    expected = scores[:, [row * 9 + column for row, column in positions]]
    np.testing.assert_allclose(ops.convert_to_numpy(rows), expected, atol=1e-5)


@pytest.mark.parametrize(
    "positions", [[(6, 0)], [(0, 9)], [(-1, 0)], [0, 1], [(0.5, 1.0)], []]
)
def test_positions_outside_the_map_are_refused(positions):
    with pytest.raises(ValueError, match="Received: positions="):
        PAM().attention_scores(features(1, 6, 9, 16), positions)


@only_tensorflow
def test_saved_model_of_any_size(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((None, None, 16))
    model = keras.Model(inputs, PAM(block_size=10)(inputs))
    model.layers[-1].gamma.assign(0.7)
    model.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    for shape in ((1, 3, 4, 16), (2, 5, 7, 16)):
        x = features(*shape)
        expected = ops.convert_to_numpy(model(x))
        assert relative_error(loaded.serve(x), expected) <= 1e-5


@only_torch
def test_products_without_onednn_are_the_same(monkeypatch):
    from keras_danet.layers import onednn_product

    monkeypatch.setattr(onednn_product, "_onednn", lambda: None)
    assert_exact(77, 32, "eager")


@only_torch
def test_blocks_refuse_a_gradient_of_the_gradient():
    import torch

    inputs = [torch.from_numpy(x).requires_grad_() for x in arrays(7)[:3]]
    output = position_attention(*inputs, 3).square().sum()
    (found,) = torch.autograd.grad(output, inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        found.sum().backward()


def run_script(name, *arguments):
    """The JSON that a script of this folder prints, run in a process of its own."""
    script = Path(__file__).parent / name
    environment = {**os.environ, "KERAS_BACKEND": BACKEND, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(script.parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc"
)
def test_peak_memory_is_linear():
    peak = run_script("attention_memory.py", "10240")
    assert peak["forward"] < 100
    assert peak["gradient"] < 150
    # the same measure sees the dense form's 10240 x 10240 matrix of 400 MB
    assert peak["dense"] > 350


@only_tensorflow
def test_two_replicas_give_the_gradient_of_one():
    assert run_script("attention_replicas.py")["largest difference"] < 1e-5
