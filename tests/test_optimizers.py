"""SGD and the poly schedule against PyTorch's rule, step by step, in every mode."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_danet.optimizers import SGD, poly_decay
from tests.shared import SHARED, needs_shared

SHAPES = {"kernel": (3, 2), "bias": (2,), "head_kernel": (2, 4), "head_bias": (4,)}
BACKBONE = ["kernel", "bias"]


def variables():
    """Four variables, two of a backbone and two of a head, always the same values."""
    random = np.random.default_rng(0)
    return [
        keras.Variable(random.normal(size=shape).astype("float32"), name=name)
        for name, shape in SHAPES.items()
    ]


def random_gradients(steps, seed=1):
    random = np.random.default_rng(seed)
    return [
        [random.normal(size=shape).astype("float32") for shape in SHAPES.values()]
        for _ in range(steps)
    ]


def numpy_sgd(
    gradients, rates, momentum=0.9, decay=1e-4, multiplier=1.0, decayed=SHAPES
):
    """PyTorch's rule in float64: the weights after every step."""
    weights = [np.asarray(variable, "float64") for variable in variables()]
    buffers = [np.zeros(shape) for shape in SHAPES.values()]
    history = []
    for step, rate in zip(gradients, rates, strict=True):
        for i, (name, gradient) in enumerate(zip(SHAPES, step, strict=True)):
            gradient = gradient + (decay if name in decayed else 0) * weights[i]
            buffers[i] = momentum * buffers[i] + gradient
            factor = 1.0 if name in BACKBONE else multiplier
            weights[i] = weights[i] - rate * factor * buffers[i]
        history.append([weight.copy() for weight in weights])
    return history


def compiled_step(optimizer, weights):
    """A function of gradients: one step as `fit` does it, compiled where it can be."""
    backend = {"tensorflow": _graph_step, "jax": _stateless_step, "torch": _plain_step}
    optimizer.build(weights)
    step = backend[keras.backend.backend()](optimizer, weights)
    return lambda gradients: step([ops.convert_to_tensor(g) for g in gradients])


def _graph_step(optimizer, weights):
    import tensorflow as tf

    return tf.function(lambda gradients: optimizer.apply(gradients, weights))


def _stateless_step(optimizer, weights):
    import jax

    stateless = jax.jit(optimizer.stateless_apply)

    def step(gradients):
        state = [variable.value for variable in optimizer.variables]
        values = [weight.value for weight in weights]
        values, state = stateless(state, gradients, values)
        for variable, value in zip(
            [*weights, *optimizer.variables], [*values, *state], strict=True
        ):
            variable.assign(value)

    return step


def _plain_step(optimizer, weights):
    return lambda gradients: optimizer.apply(gradients, weights)


def check(weights, expected, tolerance=2e-6):
    for weight, value in zip(weights, expected, strict=True):
        found = ops.convert_to_numpy(weight)
        assert np.abs(found - value).max() <= tolerance, weight.name


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("momentum", "decay", "multiplier"),
    [(0.9, 1e-4, 1.0), (0.9, 0.1, 10.0), (0.0, 0.1, 10.0), (0.5, 0.0, 0.1)],
)
def test_equals_the_rule_with_a_schedule(momentum, decay, multiplier, compiled):
    steps = random_gradients(5)
    rates = [0.02 * (1 - t / 5) ** 0.9 for t in range(5)]
    weights = variables()
    optimizer = SGD(poly_decay(0.02, 5), momentum, decay, multiplier)
    optimizer.set_backbone_paths(BACKBONE)
    expected = numpy_sgd(steps, rates, momentum, decay, multiplier)
    step = (compiled_step if compiled else _plain_step)(optimizer, weights)
    for gradients, values in zip(steps, expected, strict=True):
        step([ops.convert_to_tensor(gradient) for gradient in gradients])
        check(weights, values)


def test_equals_pytorch():
    torch = pytest.importorskip("torch")
    steps, weights = random_gradients(6), variables()
    parameters = [
        torch.nn.Parameter(torch.tensor(ops.convert_to_numpy(w))) for w in weights
    ]
    groups = [
        {"params": parameters[:2], "lr": 0.01},
        {"params": parameters[2:], "lr": 0.1},
    ]
    theirs = torch.optim.SGD(groups, momentum=0.9, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.PolynomialLR(theirs, total_iters=6, power=0.9)
    ours = SGD(poly_decay(0.01, 6), 0.9, 0.05, 10.0, backbone_paths=BACKBONE)
    step = compiled_step(ours, weights)
    for gradients in steps:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        theirs.step()
        schedule.step()
        step(gradients)
        check(weights, [parameter.detach().numpy() for parameter in parameters])


def test_one_variable_at_a_time_equals_all_at_once():
    """`update_step`, which PyTorch's path of many tensors replaces."""
    (gradients,) = random_gradients(1)
    weights = variables()
    optimizer = SGD(0.1, 0.9, 0.1, 10.0, backbone_paths=BACKBONE)
    optimizer.build(weights)
    for gradient, weight in zip(gradients, weights, strict=True):
        optimizer.update_step(ops.convert_to_tensor(gradient), weight, 0.1)
    check(weights, numpy_sgd([gradients], [0.1], 0.9, 0.1, 10.0)[-1])


def test_gradient_accumulation():
    steps = random_gradients(6)
    weights = variables()
    optimizer = SGD(0.1, 0.9, 0.1, gradient_accumulation_steps=3)
    step = compiled_step(optimizer, weights)
    for gradients in steps:
        step(gradients)
    means = [
        [np.mean(group, axis=0) for group in zip(*three, strict=True)]
        for three in (steps[:3], steps[3:])
    ]
    check(weights, numpy_sgd(means, [0.1, 0.1], 0.9, 0.1)[-1])


@pytest.mark.parametrize("how", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clipping_comes_before_the_decay(how):
    steps = random_gradients(3)
    weights = variables()
    optimizer = SGD(0.1, 0.9, 0.1, **{how: 0.5})

    def clip(gradients):
        if how == "clipvalue":
            return [np.clip(gradient, -0.5, 0.5) for gradient in gradients]
        norms = [np.linalg.norm(gradient) for gradient in gradients]
        if how == "global_clipnorm":
            norms = [np.linalg.norm(norms)] * len(norms)
        return [
            gradient * min(1, 0.5 / norm)
            for gradient, norm in zip(gradients, norms, strict=True)
        ]

    step = compiled_step(optimizer, weights)
    for gradients in steps:
        step(gradients)
    check(weights, numpy_sgd([clip(step) for step in steps], [0.1] * 3, 0.9, 0.1)[-1])


def test_moving_average_of_the_weights():
    steps = random_gradients(3)
    weights = variables()
    optimizer = SGD(0.1, 0.9, 0.1, use_ema=True, ema_momentum=0.5)
    step = compiled_step(optimizer, weights)
    for gradients in steps:
        step(gradients)
    history = numpy_sgd(steps, [0.1] * 3, 0.9, 0.1)
    check(weights, history[-1])
    average = history[0]
    for values in history[1:]:
        average = [(a + v) / 2 for a, v in zip(average, values, strict=True)]
    optimizer.finalize_variable_values(weights)
    check(weights, average)


def test_loss_scaling_and_a_skipped_step():
    steps = random_gradients(3)
    weights = variables()
    inner = SGD(0.1, 0.9, 0.1, 10.0, backbone_paths=BACKBONE)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=256.0)
    bad = [gradient * np.float32("inf") for gradient in steps[0]]
    step = compiled_step(optimizer, weights)
    for gradients in (steps[0], bad, steps[1], steps[2]):
        scale = np.float32(ops.convert_to_numpy(optimizer.dynamic_scale))
        step([gradient * scale for gradient in gradients])
    check(weights, numpy_sgd(steps, [0.1] * 3, 0.9, 0.1, 10.0)[-1])


@pytest.mark.parametrize("by", ["name", "variable"])
@pytest.mark.parametrize("restored", [False, True])
def test_exemptions_from_the_decay(by, restored):
    steps = random_gradients(3)
    weights = variables()
    optimizer = SGD(0.1, 0.9, 0.5)
    if by == "name":
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    else:
        biases = [v for v in weights if "bias" in v.path]
        optimizer.exclude_from_weight_decay(var_list=biases)
    if restored:
        optimizer = SGD.from_config(json.loads(json.dumps(optimizer.get_config())))
    step = compiled_step(optimizer, weights)
    for gradients in steps:
        step(gradients)
    expected = numpy_sgd(steps, [0.1] * 3, 0.9, 0.5, decayed=["kernel", "head_kernel"])
    check(weights, expected[-1])
    with pytest.raises(ValueError, match="before the first step"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def small_model():
    inputs = keras.Input((4,))
    features = keras.layers.Dense(5, activation="relu", name="backbone")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(features))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_training_goes_on_after_saving_and_loading(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    random = np.random.default_rng(0)
    x = random.normal(size=(4, 8, 4)).astype("float32")
    y = random.integers(0, 3, (4, 8))
    model = small_model()
    start = model.get_weights()
    optimizer = SGD(poly_decay(0.05, 4), head_multiplier=10.0)
    optimizer.set_backbone_paths(v.path for v in model.get_layer("backbone").variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    for step in range(2):
        model.train_on_batch(x[step], y[step])
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    inner = getattr(restored.optimizer, "inner_optimizer", restored.optimizer)
    config = inner.get_config()
    assert type(inner) is SGD or SGD in type(inner).__mro__
    assert config["backbone_paths"] == ["backbone/bias", "backbone/kernel"]
    assert (config["weight_decay"], config["head_multiplier"]) == (1e-4, 10.0)
    assert config["learning_rate"]["config"]["decay_steps"] == 4
    for step in range(2, 4):
        expected = model.train_on_batch(x[step], y[step])
        assert restored.train_on_batch(x[step], y[step]) == pytest.approx(expected)
    for found, value in zip(restored.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(found, value)
    assert not np.allclose(model.get_weights()[0], start[0])


@needs_shared
@pytest.mark.parametrize("run", ["main", "paper_lr"])
def test_poly_decay_equals_mmsegmentation(run):
    folder = SHARED / "fixtures" / "mmseg_r50_train"
    settings = json.loads((folder / "meta.json").read_text())["runs"][run]
    (path,) = folder.glob("*.npz")
    with np.load(path) as stored:
        rates = stored[f"{run}/lr"][:, 0]
    schedule = poly_decay(settings["lr"], steps=20 - 1, end=settings["eta_min"])
    found = [float(schedule(step)) for step in range(len(rates))]
    assert found == pytest.approx(list(rates), rel=1e-6)


def test_poly_decay_ends():
    schedule = poly_decay(0.01, 40, power=0.9, end=1e-4)
    assert float(schedule(0)) == pytest.approx(0.01, rel=1e-6)
    for step in (1, 20, 39):
        expected = (0.01 - 1e-4) * (1 - step / 40) ** 0.9 + 1e-4
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)
    assert float(schedule(40)) == float(schedule(400)) == pytest.approx(1e-4)


def test_the_head_must_be_known():
    (gradients,) = random_gradients(1)
    with pytest.raises(ValueError, match="told no backbone. Compile a Seg"):
        compiled_step(SGD(0.1, head_multiplier=10.0), variables())
    optimizer = SGD(0.1, head_multiplier=10.0, backbone_paths=["other/kernel"])
    with pytest.raises(ValueError, match="told another backbone.*'other/kernel'"):
        compiled_step(optimizer, variables())
    # A frozen backbone: every trainable variable is the head's.
    weights = variables()
    frozen = SGD(0.1, head_multiplier=10.0, weight_decay=0.0, backbone_paths=[])
    compiled_step(frozen, weights)(gradients)
    check(weights, numpy_sgd([gradients], [1.0], decay=0.0)[-1])
    with pytest.raises(ValueError, match="is built"):
        frozen.set_backbone_paths(BACKBONE)


@pytest.mark.parametrize(
    "arguments",
    [
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"weight_decay": -1},
        {"head_multiplier": 0},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received: momentum="):
        SGD(0.1, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [(0.0, 10), (0.1, 0), (0.1, 10, 0.0), (0.1, 10, 0.9, 0.2), (0.1, 10, 0.9, -0.1)],
)
def test_bad_schedules(arguments):
    with pytest.raises(ValueError, match="Received"):
        poly_decay(*arguments)
